package node

import (
	"context"
	"fmt"
	"time"

	"onemore/launcher/internal/control"
)

const (
	patienceLooks = 4 // at the logs while a patience lasts
	patienceFar   = 3 // a log that grows is waited for so many patiences, and no longer
)

// patience ends a wait that has no time limit of its own: when nothing has moved on for its time. A log with new lines puts that off, but
// not for ever: some servers go on telling what they wait for.
type patience struct {
	time  time.Duration
	nodes func() []*Node // whose logs count
	moved chan struct{}
}

// WithPatience returns a context that ends when for that time neither moved was called nor a log of the nodes that are being started has
// got lines that it did not have before, numbers aside; its cause is a control.TimeoutError. cancel must be called.
func WithPatience(parent context.Context, time time.Duration, nodes func() []*Node) (ctx context.Context, moved, cancel func()) {
	p := &patience{time: time, nodes: nodes, moved: make(chan struct{}, 1)}
	ctx, end := context.WithCancelCause(parent)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.last(ctx); err != nil {
			end(err)
		}
	}()
	moved = func() {
		select {
		case p.moved <- struct{}{}:
		default: // it will be noticed already
		}
	}
	return ctx, moved, func() { end(nil); <-done }
}

// last returns why nothing is to be waited for any more, or nil when ctx ends.
func (p *patience) last(ctx context.Context) error {
	tick := time.NewTicker(max(p.time/patienceLooks, time.Millisecond))
	defer tick.Stop()
	since, seen := time.Now(), map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.moved:
			since = time.Now()
		case <-tick.C:
			grown := p.grown(seen)
			waited := time.Since(since)
			switch {
			case waited >= patienceFar*p.time:
				return control.TimeoutError(fmt.Sprintf("nothing but its log has moved on for %v", patienceFar*p.time))
			case waited >= p.time && !grown:
				return control.TimeoutError(fmt.Sprintf("nothing has moved on for %v", waited.Round(time.Second/10)))
			}
		}
	}
}

// grown tells whether the logs of nodes that are being started have lines that were not seen yet, and remembers them.
func (p *patience) grown(seen map[string]bool) bool {
	grown := false
	for _, n := range p.nodes() {
		start, starting := n.starting()
		if !starting {
			continue
		}
		for _, text := range logTexts(n.Plan, start) {
			for _, l := range text {
				if l = withoutNumbers(l); !seen[l] {
					seen[l], grown = true, true
				}
			}
		}
	}
	return grown
}

// withoutNumbers is a line without its digits: of a line that comes again and again, the time and the count differ.
func withoutNumbers(line string) string {
	out := make([]byte, 0, len(line))
	for i := range len(line) {
		if line[i] < '0' || line[i] > '9' {
			out = append(out, line[i])
		}
	}
	return string(out)
}

// starting tells whether the node has been started and has not served as a member since, and since when.
func (l *life) starting() (logStart, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start, l.run != nil && !l.member
}
