package node

import (
	"context"
	"fmt"
	"time"

	"onemore/launcher/internal/control"
)

const (
	patienceChecks    = 4 // how often the logs are read within the limit
	patienceMaxLimits = 3 // the wait ends after so many limits without progress, even if the logs still grow
)

// patience is a limit on the time without progress, for a wait whose length nobody can know. Progress is a call of moved. New lines in
// the nodes' logs extend the wait, but only up to patienceMaxLimits: some servers print again and again what they wait for.
type patience struct {
	time  time.Duration  // the limit
	nodes func() []*Node // nodes whose logs count, if they are being started
	moved chan struct{}
}

// WithPatience returns a context that ends when there was no progress for the given time: moved was not called, and in the second half of
// that time no log of a node that is being started got a new line. A line that differs from an earlier one only in its digits is not new.
// The cause of the context's end is a control.TimeoutError. cancel must be called; it waits until the goroutine has ended.
func WithPatience(parent context.Context, time time.Duration, nodes func() []*Node) (ctx context.Context, moved, cancel func()) {
	p := &patience{time: time, nodes: nodes, moved: make(chan struct{}, 1)}
	ctx, end := context.WithCancelCause(parent)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.watch(ctx); err != nil {
			end(err)
		}
	}()
	moved = func() {
		select {
		case p.moved <- struct{}{}:
		default: // a call that was not received yet stands for this one too
		}
	}
	return ctx, moved, func() { end(nil); <-done }
}

// watch waits until the limit is exceeded and returns the error that says so, or nil when ctx ends first.
func (p *patience) watch(ctx context.Context) error {
	tick := time.NewTicker(max(p.time/patienceChecks, time.Millisecond))
	defer tick.Stop()
	since, grew, seen := time.Now(), time.Now(), map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.moved:
			since = time.Now()
		case <-tick.C:
			if p.newLines(seen) {
				grew = time.Now()
			}
			waited := time.Since(since)
			switch {
			case waited >= patienceMaxLimits*p.time:
				return control.TimeoutError(fmt.Sprintf("nothing but its log has moved on for %v", patienceMaxLimits*p.time))
			case waited >= p.time && time.Since(grew) >= p.time/2:
				return control.TimeoutError(fmt.Sprintf("nothing has moved on for %v", waited.Round(time.Second/10)))
			}
		}
	}
}

// newLines reports whether the logs of nodes that are being started have lines that are not in seen, and adds them to it.
func (p *patience) newLines(seen map[string]bool) bool {
	found := false
	for _, n := range p.nodes() {
		start, starting := n.starting()
		if !starting {
			continue
		}
		for _, text := range logTexts(n.Plan, start) {
			for _, l := range text {
				if l = withoutNumbers(l); !seen[l] {
					seen[l], found = true, true
				}
			}
		}
	}
	return found
}

// withoutNumbers returns a line without its digits: repetitions of a line differ in their time and in counts.
func withoutNumbers(line string) string {
	out := make([]byte, 0, len(line))
	for i := range len(line) {
		if line[i] < '0' || line[i] > '9' {
			out = append(out, line[i])
		}
	}
	return string(out)
}

// starting reports whether the node is being started: it is being prepared, or has a process, and has not been a member since its start. logStart is where its
// log of this start begins.
func (l *life) starting() (logStart, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start, l.prepare || l.run != nil && !l.member
}
