package node

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"onemore/launcher/internal/plan"
)

// TestPatience: a wait ends when nothing moves on; a log with new lines puts that off, but not for ever.
func TestPatience(t *testing.T) {
	const minute = time.Minute
	for name, c := range map[string]struct {
		moves int              // one every 50 s
		line  func(int) string // printed every 10 s; nil: none
		want  time.Duration    // when it ends
		why   string
	}{
		"nothing moves":      {want: minute, why: "nothing has moved on for 1m0s"},
		"a phase is over":    {moves: 2, want: 2*50*time.Second + minute + 5*time.Second, why: "nothing has moved on for 1m5s"}, // looks are every 15 s
		"the log grows":      {line: func(i int) string { return "step " + string(rune('a'+i)) }, want: 3 * minute, why: "nothing but its log has moved on for 3m0s"},
		"the log says again": {line: func(i int) string { return fmt.Sprintf("try %d at %d", i, 1000*i) }, want: minute, why: "nothing has moved on for 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &Node{Plan: plan.Node{Dir: t.TempDir()}, life: &life{run: &run{}}}
				n.Plan.Log = filepath.Join(n.Plan.Dir, "log")
				n.start = logStartNow(n.Plan)
				log, err := openLog(n.Plan.Log)
				if err != nil {
					t.Fatal(err)
				}
				defer log.Close()
				began := time.Now()
				ctx, moved, cancel := WithPatience(context.Background(), minute, func() []*Node { return []*Node{n} })
				defer cancel()
				tick := time.NewTicker(10 * time.Second)
				defer tick.Stop()
				for i := 0; ctx.Err() == nil; i++ {
					if c.line != nil {
						log.write([]byte(c.line(i)))
					}
					if i > 0 && i%5 == 0 && i/5 <= c.moves {
						moved()
					}
					select {
					case <-tick.C:
					case <-ctx.Done():
					}
				}
				if took := time.Since(began); took != c.want || context.Cause(ctx).Error() != c.why {
					t.Errorf("it ended after %v: %v; want %v: %v", took, context.Cause(ctx), c.want, c.why)
				}
			})
		})
	}
}
