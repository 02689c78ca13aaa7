// Package faults is a node's table of network faults: per peer and direction,
// what is cut, delayed or dropped. The node's own transports (gossip, control
// streams, links between nodes) consult it, so that faults can be tried
// without root and without touching the host's network.
//
// It is not a proxy and moves no bytes itself. Start at Table.
package faults

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrBlocked is what a transport returns for traffic that a fault cuts.
var ErrBlocked = errors.New("link is cut by a fault")

// MaxDelay bounds a rule's delay, so that a typing error can't stall a node for hours.
const MaxDelay = 10 * time.Second

// Direction of traffic as seen from this node.
type Direction string

// Directions of a rule.
const (
	Out  Direction = "out"
	In   Direction = "in"
	Both Direction = "both"
)

// Rule is what happens to traffic of one direction with one peer. The zero
// Rule lets everything pass.
type Rule struct {
	Block bool          // nothing passes
	Delay time.Duration // added to every packet or write
	Drop  float64       // share of packets lost, 0 to 1
}

// Lose decides at random about one packet: true means that it is to be dropped.
func (r Rule) Lose() bool {
	return r.Block || r.Drop > 0 && rand.Float64() < r.Drop
}

func (r Rule) validate() error {
	switch {
	case r.Delay < 0 || r.Delay > MaxDelay:
		return fmt.Errorf("set fault: delay %v is not between 0 and %v", r.Delay, MaxDelay)
	case r.Drop < 0 || r.Drop > 1:
		return fmt.Errorf("set fault: drop %v is not between 0 and 1", r.Drop)
	}
	return nil
}

// Entry is one rule of a table.
type Entry struct {
	Peer      string
	Direction Direction // Out or In
	Rule
}

// Table holds the rules of one node. The zero Table is ready, has no rules and
// costs one atomic load per question. Its methods may be called from anywhere.
type Table struct {
	active atomic.Bool
	mu     sync.RWMutex
	held   bool
	out    map[string]Rule
	in     map[string]Rule
}

// Hold lets nothing out until the first rule is set or cleared, so that a node can
// start with faults: they are set after it has begun to run.
func (t *Table) Hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = true
	t.activateLocked()
}

func (t *Table) activateLocked() { t.active.Store(t.held || len(t.out)+len(t.in) > 0) }

// Set replaces the rule for a peer (a node name, Name@Host) and direction. The
// zero rule removes it.
func (t *Table) Set(peer string, dir Direction, r Rule) error {
	if err := r.validate(); err != nil {
		return err
	}
	if dir != Out && dir != In && dir != Both {
		return fmt.Errorf("set fault: direction %q is not out, in or both", dir)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = false
	if dir != In {
		put(&t.out, peer, r)
	}
	if dir != Out {
		put(&t.in, peer, r)
	}
	t.activateLocked()
	return nil
}

func put(m *map[string]Rule, peer string, r Rule) {
	if r == (Rule{}) {
		delete(*m, peer)
		return
	}
	if *m == nil {
		*m = make(map[string]Rule)
	}
	(*m)[peer] = r
}

// Clear removes the rules of one peer, or all of them for the empty name.
func (t *Table) Clear(peer string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = false
	if peer == "" {
		clear(t.out)
		clear(t.in)
	}
	delete(t.out, peer)
	delete(t.in, peer)
	t.activateLocked()
}

// Active tells whether there is any rule at all.
func (t *Table) Active() bool { return t.active.Load() }

// To is the rule for traffic that goes to a peer.
func (t *Table) To(peer string) Rule {
	if !t.active.Load() {
		return Rule{}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.held {
		return Rule{Block: true}
	}
	return t.out[peer]
}

// From is the rule for traffic that comes from a peer.
func (t *Table) From(peer string) Rule {
	if !t.active.Load() {
		return Rule{}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.in[peer]
}

// List returns the rules, sorted by peer and direction; an empty list, never nil.
func (t *Table) List() []Entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := []Entry{}
	for _, peer := range slices.Collect(maps.Keys(t.in)) {
		list = append(list, Entry{Peer: peer, Direction: In, Rule: t.in[peer]})
	}
	for _, peer := range slices.Collect(maps.Keys(t.out)) {
		list = append(list, Entry{Peer: peer, Direction: Out, Rule: t.out[peer]})
	}
	slices.SortFunc(list, func(a, b Entry) int {
		return strings.Compare(a.Peer+" "+string(a.Direction), b.Peer+" "+string(b.Direction))
	})
	return list
}
