package learn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
)

const (
	stopGrace = 10 * time.Second
	logLines  = 15
)

// socket is what a process of the server holds.
type socket struct {
	proto ports.Proto
	port  int
	host  string
}

// trial is what one run of a node in a scratch copy showed.
type trial struct {
	sockets map[socket]bool
	http    map[int]httpAnswer
	after   *tree
	killed  bool    // it did not end at TERM
	places  []Place // outside of the directory, that it wrote to
}

type httpAnswer struct {
	speaks bool
	path   string // answers with 2xx; "" if none of those tried does
}

// setup is how a node is started.
type setup struct {
	substitution
	env     []string      // nil: that of learn itself
	timeout time.Duration // 0: Options.Timeout
}

// run starts a node in a new copy, watches it and stops it: until its ports are settled, or enough says that all is there.
func (l *learner) run(ctx context.Context, p occurrences, f setup, enough func(map[socket]bool) bool) (out *trial, err error) {
	l.copies++
	dir := filepath.Join(l.scratch, strconv.Itoa(l.copies))
	if _, err := nodedir.Copy(ctx, nodedir.CopySpec{From: l.self, To: dir, Exclude: l.tree.special}); err != nil {
		return nil, err
	}
	f.dir = dir
	if err := errors.Join(p.configure(dir, f.substitution), makeDirs(dir, l.places)); err != nil {
		return nil, err
	}
	before, err := readTree(ctx, dir)
	if err != nil {
		return nil, err
	}
	candidates := l.outside()
	states := make([]map[string]stamp, len(candidates))
	for i, c := range candidates {
		states[i] = stamps(c.Was)
	}
	n, err := l.start(ctx, dir, p, f)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.log.Close()) }()
	out = &trial{}
	watched := n.watch(ctx, cmp.Or(f.timeout, l.o.Timeout), enough)
	if watched == nil {
		out.sockets, out.http, out.places = n.seen, n.askHTTP(ctx), written(candidates, states)
	}
	killed, serr := n.stop(context.WithoutCancel(ctx))
	out.killed = killed
	if err := errors.Join(watched, serr); err != nil {
		return nil, err
	}
	// What the edits changed is not the server's doing.
	if out.after, err = readTree(ctx, dir); err != nil {
		return nil, err
	}
	for name, was := range before.files {
		if is, ok := out.after.files[name]; ok && is.sum == was.sum {
			out.after.files[name] = l.tree.files[name]
		}
	}
	return out, nil
}

// node is a running node.
type node struct {
	l    *learner
	proc *proc.Process
	log  *os.File
	seen map[socket]bool
}

func (l *learner) start(ctx context.Context, dir string, p occurrences, f setup) (*node, error) {
	log, err := os.Create(dir + ".log")
	if err != nil {
		return nil, err
	}
	spec := proc.Spec{Dir: dir, Stdout: log, Stderr: log}
	for _, a := range p.args {
		spec.Args = append(spec.Args, f.fill(a))
	}
	if f.env == nil {
		f.env = inherited()
	}
	for _, kv := range f.env {
		name, _, _ := strings.Cut(kv, "=")
		if value, ok := p.env[name]; ok {
			kv = name + "=" + f.fill(value)
		}
		spec.Env = append(spec.Env, kv)
	}
	spec.Env = append(spec.Env, markVariable+"="+l.id)
	child, err := l.spawner.Start(ctx, spec)
	if err != nil {
		return nil, errors.Join(&Error{Text: fmt.Sprintf("start %q: %v", strings.Join(spec.Args, " "), err)}, log.Close())
	}
	l.leaders = append(l.leaders, child.ID())
	return &node{l: l, proc: child, log: log}, nil
}

// inherited is the environment that a node is started with, but for what another onemore marked.
func inherited() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "ONEMORE_") || strings.HasPrefix(kv, "NOTIFY_SOCKET=") || strings.HasPrefix(kv, "PWD=")
	})
}

// watch returns when the node's ports are settled.
func (n *node) watch(ctx context.Context, timeout time.Duration, enough func(map[socket]bool) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("given up after %v", timeout))
	defer cancel()
	changed := time.Now()
	err := probe.Until(ctx, nil, func(context.Context) error {
		select {
		case <-n.proc.Done():
			return probe.Permanent(n.ended())
		default:
		}
		now, err := n.sockets()
		if err != nil {
			return probe.Permanent(err)
		}
		if !maps.Equal(now, n.seen) {
			n.seen, changed = now, time.Now()
		}
		switch {
		case len(now) == 0:
			return errors.New("it listens on no port")
		case enough != nil && enough(now), time.Since(changed) >= n.l.o.Settle:
			return nil
		}
		return errors.New("its ports still change")
	})
	if _, ok := errors.AsType[*Error](err); err == nil || ok || context.Cause(ctx) != nil && ctx.Err() == context.Canceled {
		return err
	}
	return &Error{Text: fmt.Sprintf("watch the node's ports: %v", err), Log: n.tail()}
}

// ended says why a node whose process is gone is none.
func (n *node) ended() error {
	left, err := n.l.started()
	if err != nil {
		return err
	}
	e := &Error{Text: fmt.Sprintf("the server ended (%s) before it listened on anything that stays", n.proc.Exit()), Log: n.tail()}
	if len(left) > 0 {
		e.Text = fmt.Sprintf("the command ended (%s) and left %d processes behind", n.proc.Exit(), len(left))
		e.Hint = "the node must stay in the foreground: look for an option such as --foreground, or -D"
	} else if busy := n.busy(); busy != "" {
		e.Hint = busy
	}
	return e
}

// busy names a port of the directory's configs that somebody else holds.
func (n *node) busy() string {
	table, err := ports.Sockets()
	if err != nil {
		return ""
	}
	for _, s := range table {
		p := n.l.tree.find(n.l.command, []token{{text: strconv.Itoa(s.Port), port: s.Port}}, finder{takes: likeAPort})
		if where := p.of(s.Port); len(where) > 0 {
			holder := "another program"
			if h, ok := ports.Holder(s.Addr()); ok {
				holder = h.String()
			}
			return fmt.Sprintf("port %d (%s) is in use by %s; stop that first", s.Port, where[0], holder)
		}
	}
	return ""
}

// sockets are those that the node's processes hold now.
func (n *node) sockets() (map[socket]bool, error) {
	table, err := ports.Sockets()
	if err != nil {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	ids, err := n.l.started()
	if err != nil {
		return nil, err
	}
	pids := make([]int, 0, len(ids))
	for _, id := range ids {
		pids = append(pids, id.PID)
	}
	owned, err := ports.Owned(table, pids)
	if err != nil {
		return nil, err
	}
	out := map[socket]bool{}
	for _, s := range table {
		if _, ok := owned[s.Inode]; ok && (s.Proto == ports.UDP || s.Listening) {
			out[socket{s.Proto, s.Port, s.Host.String()}] = true
		}
	}
	return out, nil
}

// paths are those under which servers often report their health.
var paths = []string{"/healthz", "/health", "/"}

// askHTTP finds out which ports speak HTTP.
func (n *node) askHTTP(ctx context.Context) map[int]httpAnswer {
	out := map[int]httpAnswer{}
	prober := probe.New(n.l.spawner.Run)
	defer prober.Close()
	for s := range n.seen {
		if _, done := out[s.port]; done || s.proto != ports.TCP {
			continue
		}
		host := s.host
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		addr := net.JoinHostPort(host, strconv.Itoa(s.port))
		// Only who answers a request line with a status line is asked further.
		_, err := prober.Do(ctx, probe.Call{TCP: addr, Send: "GET / HTTP/1.1\r\nHost: " + addr + "\r\nConnection: close\r\n\r\n", Expect: `^HTTP/1\.[01] \d`, Timeout: time.Second})
		a := httpAnswer{speaks: err == nil}
		for _, path := range paths {
			if !a.speaks || a.path != "" {
				break
			}
			if _, err := prober.Do(ctx, probe.Call{HTTP: "http://" + addr + path, Timeout: time.Second}); err == nil {
				a.path = path
			}
		}
		out[s.port] = a
	}
	return out
}

// stop ends the node, and returns when nothing of it is left.
func (n *node) stop(ctx context.Context) (killed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, stopGrace+20*time.Second)
	defer cancel()
	left, err := proc.Stop(ctx, n.l.started, stopGrace)
	if err != nil {
		return false, fmt.Errorf("stop the node: %w", err)
	}
	select {
	case <-n.proc.Done():
	case <-ctx.Done():
		return false, fmt.Errorf("stop the node: %w", context.Cause(ctx))
	}
	return len(left) > 0, nil
}

// tail is the last lines of the node's output.
func (n *node) tail() []string {
	text, err := os.ReadFile(n.log.Name())
	if err != nil {
		return nil
	}
	lines := strings.Split(strings.TrimRight(string(text[max(0, len(text)-16<<10):]), "\n"), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines[max(0, len(lines)-logLines):]
}
