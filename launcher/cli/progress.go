package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"onemore/launcher"
)

// progress shows events on stderr: on a terminal one live line a node, elsewhere a line an event.
type progress struct {
	w       io.Writer
	live    bool
	quiet   bool
	verbose bool
	cluster string // prefix of each line; "" where the command is about one cluster only
	began   time.Time

	mu    sync.Mutex // guards what follows, and the order of the output
	lines map[int]string
	drawn int // lines on the screen that the next draw replaces
}

// progress returns a display on stderr, as -q and -v say.
func (c *call) progress() *progress {
	p := &progress{w: c.Stderr, quiet: c.quiet, verbose: c.verbose, began: time.Now(), lines: map[int]string{}}
	if f, ok := c.Stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		p.live = true
	}
	return p
}

// event shows one event. It may be called from several goroutines.
func (p *progress) event(e launcher.Event) {
	if p.quiet {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	text := e.Phase
	if e.Of > 0 {
		text = fmt.Sprintf("%d/%d members", e.Members, e.Of)
	}
	if e.Text != "" && (p.verbose || e.Node == 0 && e.Service == "" || e.Phase == "exited" || e.Phase == "stopped") {
		text += " " + e.Text
	}
	if !p.live {
		if p.verbose || e.Node == 0 && e.Service == "" || plainPhases[e.Phase] {
			fmt.Fprintf(p.w, "%6.3fs  %s%s\n", time.Since(p.began).Seconds(), p.label(e.Node, e.Service), text)
		}
		return
	}
	if e.Service != "" {
		return // a line of its own would stand among the nodes'
	}
	p.lines[e.Node] = p.label(e.Node, "") + text
	p.draw()
}

// plainPhases are the phases of nodes that are shown without -v where stderr is no terminal.
var plainPhases = map[string]bool{"ready": true, "members": true, "removed": true, "stopped": true, "exited": true, "killed": true, "paused": true, "resumed": true}

func (p *progress) label(node int, service string) string {
	var s string
	if p.cluster != "" {
		s = p.cluster + ": "
	}
	if node != 0 {
		s += fmt.Sprintf("node %-3d ", node)
	}
	if service != "" {
		s += "service " + service + " "
	}
	return s
}

// draw repaints the live lines; where there are more nodes than rows, it counts the nodes in each phase. The caller holds mu.
func (p *progress) draw() {
	columns, rows, err := term.GetSize(int(p.w.(*os.File).Fd()))
	if err != nil || rows < 4 || columns < 20 {
		columns, rows = 80, 24
	}
	var keys []int
	for k := range p.lines {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn)
	}
	b.WriteString("\x1b[J")
	p.drawn = 0
	if len(keys) > rows-2 {
		count := map[string]int{}
		for _, k := range keys {
			count[strings.TrimPrefix(p.lines[k], p.label(k, ""))]++
		}
		var parts []string
		for text, n := range count {
			parts = append(parts, fmt.Sprintf("%d %s", n, text))
		}
		slices.Sort(parts)
		fmt.Fprintf(&b, "%s\n", truncate(strings.Join(parts, ", "), columns))
		p.drawn = 1
	} else {
		for _, k := range keys {
			fmt.Fprintf(&b, "%s\n", truncate(p.lines[k], columns))
		}
		p.drawn = len(keys)
	}
	fmt.Fprint(p.w, b.String())
}

// truncate makes a text fit into a row of the screen: a line that wraps could not be redrawn.
func truncate(s string, columns int) string {
	r := []rune(s)
	if len(r) < columns {
		return s
	}
	return string(r[:columns-2]) + "…"
}

// end removes the live lines: the result or the error follows.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live && p.drawn > 0 {
		fmt.Fprintf(p.w, "\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
	}
}
