package node

import (
	"fmt"
	"strings"
	"time"
)

// step is something that a node has got to since it was started.
type step struct {
	name string
	at   time.Time
}

// note records that the node has got to a step.
func (l *life) note(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = append(l.steps, step{name, time.Now()})
}

// timeline says in words how long each step since the start took; "" if there was no start.
func (l *life) timeline() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for i, s := range l.steps {
		if i == 0 {
			out = append(out, fmt.Sprintf("%s %v ago", s.name, time.Since(s.at).Round(time.Second/10)))
			continue
		}
		out = append(out, fmt.Sprintf("%s after %v", s.name, s.at.Sub(l.steps[i-1].at).Round(time.Millisecond)))
	}
	return strings.Join(out, ", ")
}
