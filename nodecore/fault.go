package nodecore

import (
	"fmt"
	"strings"
	"time"

	"onemore/nodecore/internal/faults"
	"onemore/nodecore/internal/member"
	"onemore/nodecore/internal/peer"
)

// Fault is what this node's own transport does to its traffic with one member,
// on the cluster port and on the links that carry messages. To cut two nodes
// from each other, tell either of them; to cut one direction only, tell the
// sender or the receiver.
type Fault struct {
	Peer      string        `json:"peer"`            // NAME@HOST
	Direction string        `json:"direction"`       // out, in or both, seen from this node
	Block     bool          `json:"block,omitempty"` // nothing passes
	Delay     time.Duration `json:"delay,omitempty"` // nanoseconds that everything is held up
	Drop      float64       `json:"drop,omitempty"`  // share of packets that is lost, 0 to 1
}

// String is the fault in words.
func (f Fault) String() string {
	var parts []string
	if f.Block {
		parts = append(parts, "blocked")
	}
	if f.Delay > 0 {
		parts = append(parts, "delayed by "+f.Delay.String())
	}
	if f.Drop > 0 {
		parts = append(parts, fmt.Sprintf("%g%% dropped", 100*f.Drop))
	}
	way := map[string]string{"out": "to", "in": "from"}[f.Direction]
	return fmt.Sprintf("%s %s: %s", way, f.Peer, strings.Join(parts, ", "))
}

// SetFault replaces the fault for a member and direction.
func (n *Node) SetFault(f Fault) error {
	if err := member.CheckName(f.Peer); err != nil {
		return err
	}
	err := n.faults.Set(f.Peer, faults.Direction(f.Direction), faults.Rule{Block: f.Block, Delay: f.Delay, Drop: f.Drop})
	if err != nil {
		return err
	}
	n.updatePeers() // a link on which nothing is sent would not notice
	n.log.Info("fault set", "peer", f.Peer, "direction", f.Direction, "block", f.Block, "delay", f.Delay, "drop", f.Drop)
	return nil
}

// ClearFaults ends the faults with one member, or all of them for "".
func (n *Node) ClearFaults(name string) {
	n.faults.Clear(name)
	n.log.Info("faults cleared", "peer", name)
}

// Faults lists what is set; never nil.
func (n *Node) Faults() []Fault {
	list := []Fault{}
	for _, e := range n.faults.List() {
		list = append(list, Fault{Peer: e.Peer, Direction: string(e.Direction), Block: e.Block, Delay: e.Delay, Drop: e.Drop})
	}
	return list
}

// linkFaults returns the faults of the table in the form that the links want.
func (n *Node) linkFaults(name string) (out, in peer.Fault) {
	return peerFault(n.faults.To(name)), peerFault(n.faults.From(name))
}

func peerFault(r faults.Rule) peer.Fault {
	return peer.Fault{Blocked: r.Block, Delay: r.Delay, Drop: r.Drop}
}
