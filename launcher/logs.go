package launcher

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/state"
)

// LogLine is one line that a node's process, or a service (Node 0), printed; Time is when it arrived.
type LogLine struct {
	Cluster string    `json:"cluster,omitempty"` // in its stack, where the log is of a whole one
	Node    int       `json:"node"`
	Name    string    `json:"name"`
	Time    time.Time `json:"time"`
	Text    string    `json:"text"`
}

// LogOptions select lines. The zero value is every line so far, of every node.
type LogOptions struct {
	Nodes    []int          // none, and no Services: all nodes and services
	Services []string       // by name
	Since    time.Time      // only later lines
	Start    bool           // only what each node printed since it was last started, by this or another command
	Grep     *regexp.Regexp // only lines that match
	Follow   bool           // go on with what comes, until ctx ends or line returns false
}

// followEvery is how often a followed log is read again.
const followEvery = 25 * time.Millisecond

// Logs calls line for each line of the nodes' logs, ordered by time of arrival, until line returns false. Nodes that are
// added while they are followed are followed too; the error wraps ErrNoCluster when the cluster has been taken down.
func (c *Cluster) Logs(ctx context.Context, o LogOptions, line func(LogLine) bool) error {
	return followLogs(ctx, []*logReaders{{cluster: c, nodes: o.Nodes, services: o.Services}}, o, line)
}

// Logs is Logs of all clusters of the stack; with Follow, of those that are there when it begins.
func (s *Stack) Logs(ctx context.Context, o LogOptions, line func(LogLine) bool) error {
	clusters, err := s.open(Options{}, nil)
	if err != nil {
		return err
	}
	var all []*logReaders
	for _, c := range clusters {
		_, member := splitStacked(c.name)
		all = append(all, &logReaders{cluster: c, label: member})
	}
	return followLogs(ctx, all, o, line)
}

// followLogs calls line for the lines of some clusters, until line returns false or, with Follow, all of them are gone.
func followLogs(ctx context.Context, all []*logReaders, o LogOptions, line func(LogLine) bool) error {
	for _, files := range all {
		defer files.close()
		if o.Start {
			var err error
			if files.starts, err = lastStarts(files.cluster.dir); err != nil {
				return err
			}
		}
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		list, gone, err := refreshAll(all)
		if err != nil {
			return err
		}
		if err := merge(list, true, o, line); err != nil {
			return ignoreStop(err)
		}
		if gone != nil || !o.Follow {
			return gone
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// refreshAll adds the logs of nodes that are new; gone is an error, which wraps ErrNoCluster, when there is no cluster any more.
func refreshAll(all []*logReaders) (list []*logReader, gone, err error) {
	there := 0
	for _, files := range all {
		switch err := files.refresh(); {
		case err == nil:
			there++
		case errors.Is(err, ErrNoCluster):
			gone = err
		default:
			return nil, nil, err
		}
		list = append(list, files.list...)
	}
	if there > 0 {
		gone = nil
	}
	return list, gone, nil
}

// logReaders are the logs of a cluster's nodes.
type logReaders struct {
	cluster  *Cluster
	label    string // LogLine.Cluster
	nodes    []int  // none, and no services: all
	services []string
	starts   map[source]time.Time // of those whose earlier lines are left out
	list     []*logReader
	record   fs.FileInfo // of the record that was read last
}

// source is who printed something: a node, or, where its number is 0, a service.
type source struct {
	node    int
	service string
}

// lastStarts is when each node of a cluster was last started, as far as the cluster's events go back.
func lastStarts(dir string) (map[source]time.Time, error) {
	events, _, err := state.ReadLog[Event](filepath.Join(dir, cluster.EventsFile))
	if err != nil {
		return nil, err
	}
	out := map[source]time.Time{}
	for _, e := range events {
		if e.Phase == string(control.Starting) {
			out[source{e.Node, e.Service}] = e.Time
		}
	}
	return out, nil
}

// refresh adds the logs of nodes that are new. Each change of the cluster replaces the file of its record.
func (rs *logReaders) refresh() error {
	now, err := os.Stat(cluster.RecordPath(rs.cluster.dir))
	if err == nil && rs.record != nil && os.SameFile(now, rs.record) {
		return nil
	}
	p, err := rs.cluster.Plan()
	if err != nil {
		return err
	}
	rs.record = now
	all := len(rs.nodes)+len(rs.services) == 0
	for _, n := range p.Nodes {
		if all || slices.Contains(rs.nodes, n.Index) {
			rs.add(n, rs.starts[source{n.Index, ""}])
		}
	}
	for _, s := range p.Services {
		if all || slices.Contains(rs.services, s.Name) {
			rs.add(plan.Node{Name: s.Name, Log: s.Log}, rs.starts[source{0, s.Name}])
		}
	}
	return nil
}

// add adds the log of a node, or of a service in the form of one, unless it is there.
func (rs *logReaders) add(n plan.Node, since time.Time) {
	if !slices.ContainsFunc(rs.list, func(l *logReader) bool { return l.path == n.Log }) {
		rs.list = append(rs.list, &logReader{node: n, label: rs.label, path: n.Log, since: since})
	}
}

func (rs *logReaders) close() {
	for _, l := range rs.list {
		l.close()
	}
}

// errStop ends a merge because the caller wants no more lines.
var errStop = errors.New("stop")

func ignoreStop(err error) error {
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// merge calls line for what the files have, in order of time. Each file is in order by itself, so only their next lines are
// compared.
func merge(files []*logReader, rotated bool, o LogOptions, line func(LogLine) bool) error {
	heads := make([]*LogLine, len(files))
	next := func(i int) (err error) {
		heads[i], err = files[i].next(rotated)
		return err
	}
	for i := range files {
		if err := next(i); err != nil {
			return err
		}
	}
	for {
		first := -1
		for i, h := range heads {
			if h != nil && (first < 0 || h.Time.Before(heads[first].Time)) {
				first = i
			}
		}
		if first < 0 {
			return nil
		}
		h := *heads[first]
		if h.Time.After(o.Since) && !h.Time.Before(files[first].since) && (o.Grep == nil || o.Grep.MatchString(h.Text)) && !line(h) {
			return errStop
		}
		if err := next(first); err != nil {
			return err
		}
	}
}

// logReader reads one node's log from its start, through a rotation, to where it ends at present.
type logReader struct {
	node    plan.Node
	label   string
	path    string
	since   time.Time // earlier lines are left out
	f       *os.File
	r       *bufio.Reader
	partial string
	last    fs.FileInfo // of the file that was opened last; nil at first
	ended   bool        // the open file is no longer the log: nothing is appended to it any more
}

// next returns the next whole line, nil at the present end. With rotated, LOG.1 is read first.
func (l *logReader) next(rotated bool) (*LogLine, error) {
	for {
		if l.f == nil {
			if err := l.open(rotated); err != nil || l.f == nil {
				return nil, err
			}
		}
		s, err := l.r.ReadString('\n')
		l.partial += s
		if err == nil {
			text := strings.TrimSuffix(l.partial, "\n")
			l.partial = ""
			return l.parse(text), nil
		}
		if !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the log of %s: %w", l.node.Name, err)
		}
		switch {
		case l.ended:
			l.close()
		case !l.replaced():
			return nil, nil
		default:
			l.ended = true // read on once more: lines may have been appended between the end of file and the rotation
		}
	}
}

// open opens the file after the one that was read last: the log itself, or LOG.1 where the log has been rotated meanwhile.
func (l *logReader) open(rotated bool) (err error) {
	now, err := openIfThere(l.path)
	if err != nil {
		return err
	}
	before, err := openIfThere(l.path + ".1") // opened second: if it is what was read last, the log is the file after it
	if err != nil {
		now.Close()
		return err
	}
	next, other := now, before
	if before != nil && (l.last == nil && rotated || l.last != nil && !sameFile(before, l.last)) {
		next, other = before, now
	}
	other.Close() // nil takes that
	if next != nil {
		l.f, l.r = next, bufio.NewReader(next)
		l.last, err = next.Stat()
	}
	return err
}

// openIfThere returns nil for a file that does not exist.
func openIfThere(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

func sameFile(f *os.File, as fs.FileInfo) bool {
	is, err := f.Stat()
	return err == nil && os.SameFile(is, as)
}

// replaced reports whether the open file is no longer the log: it was rotated away, or was LOG.1 from the start.
func (l *logReader) replaced() bool {
	now, err := os.Stat(l.path)
	if err != nil {
		return false
	}
	return !os.SameFile(now, l.last)
}

func (l *logReader) close() {
	if l.f != nil {
		l.f.Close()
		l.f, l.r, l.ended = nil, nil, false
	}
}

// parse splits a line of the log into its time and text.
func (l *logReader) parse(s string) *LogLine {
	out := &LogLine{Cluster: l.label, Node: l.node.Index, Name: l.node.Name, Text: s}
	if stamp, text, ok := strings.Cut(s, " "); ok {
		if t, err := time.Parse(node.LogTime, stamp); err == nil {
			out.Time, out.Text = t, text
		}
	}
	return out
}

// LastLogLine is the last whole line that a node of a cluster has printed; "" if there is none.
func LastLogLine(name string, index int) string {
	const most = 4096 // bytes
	home, err := state.Home()
	if err != nil {
		return ""
	}
	f, err := os.Open(filepath.Join(home, name, strconv.Itoa(index), "node.log"))
	if err != nil {
		return ""
	}
	defer f.Close()
	if _, err := f.Seek(-most, io.SeekEnd); err != nil {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return ""
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return (&logReader{}).parse(lines[len(lines)-1]).Text
}

// WaitLog returns the first line of any node that matches the regular expression, of those since the node's last start and
// those to come.
func (c *Cluster) WaitLog(ctx context.Context, pattern string) (found LogLine, err error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return found, &InputError{Err: err}
	}
	err = c.Logs(ctx, LogOptions{Grep: re, Follow: true, Start: true}, func(l LogLine) bool {
		found = l
		return false
	})
	if err != nil {
		return found, fmt.Errorf("wait for a line that matches %q: %w", pattern, err)
	}
	return found, nil
}
