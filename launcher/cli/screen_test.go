package cli

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"onemore/launcher"
)

// terminal is a terminal, as far as progress uses one: text that wraps, new lines, and the sequences that move up and clear. It breaks
// long lines anew when its width changes, as most do.
type terminal struct {
	columns int
	lines   [][]rune // logical lines; a wide character is followed by a 0
	row     int      // of the cursor, in rows
}

var sequence = regexp.MustCompile("^\x1b\\[([0-9]*)([A-Z])")

func (tm *terminal) Write(b []byte) (int, error) {
	text := string(b)
	for text != "" {
		if m := sequence.FindStringSubmatch(text); m != nil {
			n, _ := strconv.Atoi(m[1])
			switch m[2] {
			case "A":
				tm.row -= max(1, n)
			case "J":
				tm.clearBelow()
			default:
				return 0, fmt.Errorf("unknown sequence %q", m[0])
			}
			text = text[len(m[0]):]
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch r {
		case '\r':
		case '\n':
			tm.lines = append(tm.lines, nil)
			tm.row = tm.rows() - 1
		default:
			if len(tm.lines) == 0 {
				tm.lines = [][]rune{nil}
			}
			last := len(tm.lines) - 1
			tm.lines[last] = append(tm.lines[last], r)
			for range runeWidth(r) - 1 {
				tm.lines[last] = append(tm.lines[last], 0)
			}
		}
	}
	return len(b), nil
}

func (tm *terminal) height(line []rune) int { return max(1, (len(line)+tm.columns-1)/tm.columns) }

func (tm *terminal) rows() int {
	n := 0
	for _, l := range tm.lines {
		n += tm.height(l)
	}
	return n
}

// clearBelow clears from the start of the cursor's row on.
func (tm *terminal) clearBelow() {
	at := 0
	for i, l := range tm.lines {
		if at >= tm.row {
			tm.lines = append(slices.Clone(tm.lines[:i]), nil)
			tm.row = at
			return
		}
		if at += tm.height(l); at > tm.row {
			keep := (tm.row - (at - tm.height(l))) * tm.columns
			tm.lines = append(append(slices.Clone(tm.lines[:i]), l[:keep]), nil)
			return
		}
	}
}

func (tm *terminal) String() string {
	var out []string
	for _, l := range tm.lines {
		out = append(out, strings.ReplaceAll(string(l), "\x00", ""))
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}

func TestScreen(t *testing.T) {
	tm := &terminal{columns: 40}
	fmt.Fprint(tm, "$ onemore up\n")
	var s screen
	draw := func(lines ...string) { fmt.Fprint(tm, s.replace(lines, tm.columns, 24)) }
	draw("node 1 starting", "node 2 starting with a text that is much too long for it")
	if got, want := tm.String(), "$ onemore up\nnode 1 starting\nnode 2 starting with a text that is mu…"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	draw("node 1 ready", "node 2 日本語のとても長い文字列がここにあります")
	if got, want := tm.String(), "$ onemore up\nnode 1 ready\nnode 2 日本語のとても長い文字列がここ…"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, columns := range []int{21, 60, 30, 25, 100} {
		tm.columns = columns
		tm.row = tm.rows() - 1
		draw("node 1 ready", strings.Repeat("ab日", 30), "node 3\tx\x1b[2Jy")
		if got := tm.String(); !strings.HasPrefix(got, "$ onemore up\nnode 1 ready\nab") || strings.Count(got, "\n") != 3 || !strings.HasSuffix(got, "\nnode 3 x[2Jy") {
			t.Errorf("at %d columns:\n%s", columns, got)
		}
	}
	tm.columns, tm.row = 22, 0
	tm.row = tm.rows() - 1
	draw()
	if got := tm.String(); got != "$ onemore up" {
		t.Errorf("something is left:\n%s", got)
	}
}

func TestProgressLive(t *testing.T) {
	tm := &terminal{columns: 80}
	p := &progress{w: tm, live: true, began: time.Now(), lines: map[place]step{}, size: func() (int, int) { return 80, 24 }, lastLog: func(place) string { return "a line of the log" }}
	for i := 1; i <= 3; i++ {
		p.event(launcher.Event{Node: i, Phase: "starting"})
	}
	p.event(launcher.Event{Node: 2, Phase: "members", Members: 3, Of: 3})
	p.event(launcher.Event{Service: "proxy", Phase: "starting"})
	p.mu.Lock()
	p.lines[place{node: 1}] = step{text: p.lines[place{node: 1}].text, since: time.Now().Add(-time.Hour)}
	p.mu.Unlock()
	logs := p.slowLogs()
	p.mu.Lock()
	p.logs = logs
	p.draw()
	got := regexp.MustCompile(`(?m)^ +[0-9.]+s `).ReplaceAllString(tm.String(), "T")
	p.mu.Unlock()
	want := "T node 1   started, waiting for its ports\n        | a line of the log\nT node 2   3/3 members\nT node 3   started, waiting for its ports\nT service proxy started, waiting for its ports"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	p.endWith("3 nodes formed in %s")
	if got := tm.String(); !regexp.MustCompile(`^3 nodes formed in [0-9]+\.[0-9]{2} s$`).MatchString(got) {
		t.Errorf("at the end there is\n%s", got)
	}
}

func TestProgressCounts(t *testing.T) {
	tm := &terminal{columns: 80}
	p := &progress{w: tm, live: true, began: time.Now(), lines: map[place]step{}, size: func() (int, int) { return 80, 24 }, lastLog: func(place) string { return "" }}
	for i := 1; i <= 30; i++ {
		p.event(launcher.Event{Node: i, Phase: map[bool]string{true: "ready", false: "starting"}[i > 7]})
	}
	p.mu.Lock()
	got := tm.String()
	p.mu.Unlock()
	p.end()
	for _, part := range []string{"23 ready; 7 started, waiting for its ports", "slowest: node 1 "} {
		if !strings.Contains(got, part) {
			t.Errorf("it lacks %q:\n%s", part, got)
		}
	}
	if strings.Count(got, "\n") != 1 || tm.String() != "" {
		t.Errorf("drawn:\n%s\nleft:\n%s", got, tm.String())
	}
}

func TestProgressPlain(t *testing.T) {
	var b bytes.Buffer
	p := &progress{w: &b, began: time.Now(), lines: map[place]step{}}
	p.event(launcher.Event{Node: 1, Phase: "starting"})
	p.event(launcher.Event{Node: 1, Phase: "members", Members: 3, Of: 3})
	p.endWith("3 nodes formed in %s")
	if got := b.String(); !regexp.MustCompile(`^ *[0-9.]+s  node 1   3/3 members\n$`).MatchString(got) {
		t.Errorf("got %q", got)
	}
}
