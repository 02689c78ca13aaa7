package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"onemore/launcher"
)

// progress shows events on stderr: on a terminal a live line for each node, elsewhere a line an event.
type progress struct {
	w       io.Writer
	live    bool
	quiet   bool
	verbose bool
	cluster string // prefix of each line; "" where the command is about one cluster only
	began   time.Time
	size    func() (columns, rows int)
	lastLog func(place) string // the last line that a node has logged

	mu     sync.Mutex // guards what follows, and the order of the output
	lines  map[place]step
	logs   map[place]string // the last line that nodes have logged that take long
	screen screen
	stop   func() // ends the goroutine that redraws; nil while there is none
}

// place is what an event is about: a service, a node, or, with neither, its cluster.
type place struct {
	cluster string
	node    int
	service string
}

// step is what a node does at present.
type step struct {
	text  string
	since time.Time
	done  bool // nothing more is waited for
}

const (
	redrawEvery  = 100 * time.Millisecond
	mostLines    = 12              // with more nodes they are counted
	logLineAfter = 3 * time.Second // a node that takes longer shows what it logs
)

// progress returns a display on stderr, as -q and -v say.
func (c *call) progress() *progress {
	p := &progress{w: c.Stderr, quiet: c.quiet, verbose: c.verbose, began: time.Now(), lines: map[place]step{}}
	if f, ok := c.Stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		p.live = true
		p.size = func() (int, int) {
			columns, rows, err := term.GetSize(int(f.Fd()))
			if err != nil || rows < 4 || columns < 20 {
				return 80, 24
			}
			return columns, rows
		}
	}
	p.lastLog = func(of place) string {
		name := cmp.Or(of.cluster, c.cluster)
		if name == "" {
			name, _ = c.clusterName() // an error shows elsewhere
		}
		return launcher.LastLogLine(name, of.node)
	}
	return p
}

// event shows one event. It may be called from several goroutines.
func (p *progress) event(e launcher.Event) { p.eventOf(p.cluster, e) }

// eventOf shows one event of one of several clusters.
func (p *progress) eventOf(cluster string, e launcher.Event) {
	if p.quiet {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := place{cluster, e.Node, e.Service}
	if !p.live {
		if p.verbose || e.Node == 0 && e.Service == "" || plainPhases(e.Phase) {
			fmt.Fprintf(p.w, "%6.3fs  %s%s\n", time.Since(p.began).Seconds(), at.label(), p.plainText(e))
		}
		return
	}
	p.lines[at] = step{text: p.liveText(e), since: time.Now(), done: e.Of > 0 && e.Members == e.Of || finished(e.Phase)}
	p.draw()
	if p.stop == nil {
		p.stop = p.redraw()
	}
}

// plainText is an event as a line of its own.
func (p *progress) plainText(e launcher.Event) string {
	text := e.Phase
	if e.Of > 0 {
		text = fmt.Sprintf("%d/%d members", e.Members, e.Of)
	}
	if e.Text != "" && (p.verbose || e.Node == 0 && e.Service == "" || e.Phase == "exited" || e.Phase == "stopped") {
		text += " " + e.Text
	}
	return text
}

// liveText is an event as a line that stands until the next one: in words what is under way.
func (p *progress) liveText(e launcher.Event) string {
	words := map[string]string{"copying": "copying its directory", "preparing": "preparing its data", "starting": "started, waiting for its ports", "listening": "listening, waiting for its probe",
		"ready": "ready", "stopping": "stopping"}[e.Phase]
	if words == "" {
		return p.plainText(e)
	}
	return words
}

// plainPhases are the phases of nodes that are shown without -v where stderr is no terminal.
func plainPhases(phase string) bool { return phase == "ready" || phase == "members" || finished(phase) }

// finished tells whether nothing follows a phase by itself.
func finished(phase string) bool {
	return slices.Contains([]string{"removed", "stopped", "exited", "killed", "paused", "resumed", "serves"}, phase)
}

// label is what a line begins with.
func (at place) label() string {
	var s string
	if at.cluster != "" {
		s = at.cluster + ": "
	}
	if at.node != 0 {
		s += fmt.Sprintf("node %-3d ", at.node)
	}
	if at.service != "" {
		s += "service " + at.service + " "
	}
	return s
}

// redraw draws again as time goes by, and when the terminal gets another size, until the function that it returns is called.
func (p *progress) redraw() (stop func()) {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	tick := time.NewTicker(redrawEvery)
	quit, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			case <-resized:
			}
			logs := p.slowLogs()
			p.mu.Lock()
			p.logs = logs
			p.draw()
			p.mu.Unlock()
		}
	}()
	return func() {
		signal.Stop(resized)
		tick.Stop()
		close(quit)
		<-over
	}
}

// draw repaints the live lines. The caller holds mu.
func (p *progress) draw() {
	columns, rows := p.size()
	fmt.Fprint(p.w, p.screen.replace(p.text(min(mostLines, rows-3)), columns, rows))
}

// text are the live lines: one for each place, or where there are more than most, how many nodes do what, and the slowest.
func (p *progress) text(most int) []string {
	keys := slices.SortedFunc(maps.Keys(p.lines), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.service, b.service), a.node-b.node)
	})
	elapsed := fmt.Sprintf("%5.1fs  ", time.Since(p.began).Seconds())
	if len(keys) > most {
		return p.counts(keys, elapsed)
	}
	var out []string
	for _, at := range keys {
		out = append(out, elapsed+at.label()+p.lines[at].text)
		if line := p.logs[at]; line != "" && !p.lines[at].done {
			out = append(out, "        | "+line)
		}
	}
	return out[:min(len(out), 2*most)]
}

// counts are how many nodes do what, and the slowest one.
func (p *progress) counts(keys []place, elapsed string) []string {
	count := map[string]int{}
	var slowest place
	for _, at := range keys {
		s := p.lines[at]
		if at.node == 0 {
			continue
		}
		count[s.text]++
		if was, ok := p.lines[slowest]; !s.done && (slowest.node == 0 || !ok || s.since.Before(was.since)) {
			slowest = at
		}
	}
	var parts []string
	for _, text := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d %s", count[text], text))
	}
	out := []string{elapsed + strings.Join(parts, "; ")}
	if slowest.node != 0 {
		out = append(out, "        slowest: "+slowest.label()+p.lines[slowest].text)
		if line := p.logs[slowest]; line != "" {
			out = append(out, "        | "+line)
		}
	}
	return out
}

// slowLogs are the last lines of the logs of nodes that take long.
func (p *progress) slowLogs() map[place]string {
	out := map[place]string{}
	p.mu.Lock()
	for at, s := range p.lines {
		if at.node != 0 && !s.done && time.Since(s.since) >= logLineAfter {
			out[at] = ""
		}
	}
	p.mu.Unlock()
	for at := range out {
		out[at] = p.lastLog(at)
	}
	return out
}

// end removes the live lines: the result or the error follows.
func (p *progress) end() {
	p.mu.Lock()
	stop := p.stop
	p.stop = nil
	p.mu.Unlock()
	if stop == nil {
		return
	}
	stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	columns, rows := p.size()
	fmt.Fprint(p.w, p.screen.replace(nil, columns, rows))
	clear(p.lines)
}

// endWith is end, and on a terminal leaves a line that says what was done; %s in it is the time that it took.
func (p *progress) endWith(format string, args ...any) {
	p.end()
	if p.live && !p.quiet {
		fmt.Fprintf(p.w, format+"\n", append(args, fmt.Sprintf("%.2f s", time.Since(p.began).Seconds()))...)
	}
}
