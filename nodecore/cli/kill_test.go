package cli

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
)

// TestRandomKills kills and starts nodes at random, one or two at a time, with
// and without waiting for the others to notice, and wants the cluster back each time.
func TestRandomKills(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	var nodes []*process
	var quoted []string
	for i := range 3 {
		n := nodeDir(t, fmt.Sprintf("n%d", i+1)).start()
		if i > 0 {
			if code, _, errs := n.ctl("cluster", "join", nodes[0].target()); code != 0 {
				t.Fatal(errs)
			}
		}
		nodes = append(nodes, n)
		quoted = append(quoted, "'"+n.name+"'")
	}
	all := "[{running_nodes,[" + strings.Join(quoted, ",") + "]}]"
	for round := range rounds {
		order := rand.Perm(3)
		victims := order[:1+rand.IntN(2)]
		sig := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM}[rand.IntN(2)]
		notice := rand.IntN(2) == 0
		t.Logf("round %d: %v to %v, others notice: %v", round, sig, victims, notice)
		for _, v := range victims {
			nodes[v].end(sig)
		}
		if witness := nodes[order[2]]; notice {
			witness.eventually(func() error {
				if _, out, _ := witness.ctl("cluster", "status"); strings.Count(out, "stopped_nodes") != 1 {
					return fmt.Errorf("%s prints %q", witness.name, out)
				}
				return nil
			})
		}
		for _, v := range victims {
			nodes[v].start()
		}
		for _, n := range nodes {
			n.shows(all)
		}
	}
}
