package plan

import (
	"slices"

	"onemore/launcher/internal/template"
)

// listenerRule is one listener as the solver sees it: where its ports come from.
type listenerRule struct {
	name      string
	protos    []int
	bind      string // "" the node's own address
	any       bool   // bound on all addresses
	base      int    // port of node 1, for a declared one
	pinned    bool   // base was set by hand: Shift does not move it
	derived   bool
	sum       []term // for a derived one
	plus      int
	unmovable bool // derived from numbers only: neither offset nor shift moves it
	exempt    bool // node 1 has it inside of the ephemeral range already
	disabled  bool // its when is false: only for others to be derived from
}

// term is a name in a derived rule's sum.
type term struct {
	sign int
	rule int // position of a rule, or one of the two below
}

const (
	byNumber = -1
	byIndex  = -2
)

// nodeSlot is a node that is being planned.
type nodeSlot struct {
	index     int
	nameIndex int
	number    int
	name      string
	role      string
	lacks     []bool // by rule: the node does not have that listener
	host      string
	plain     string // host as portSet writes it
	block     int    // of the address, where nodes have addresses of their own
	fixed     []int  // by rule: a port set for this node alone, else 0; nil: none
}

// existingListener is a listener that is there already.
type existingListener struct {
	Listener
	owner string
}

// layout is one way to lay out the ports.
type layout struct {
	offset, shift int
	displace      int // added to all ports of a node that comes to a formed cluster
	block         int
}

// solver looks for a layout that works. It never changes what it was made of.
type solver struct {
	rules  []listenerRule
	order  []int // rules, each after those that it is derived from
	shared []listenerRule
	slots  []*nodeSlot
	spread bool

	used     *portSet           // others' ports
	reserved map[int]string     // ports that stand in the source's config at keys of no listener, and where
	formed   *portSet           // those of the cluster's present nodes
	existing []existingListener // the same, with their owners' names
	low      int                // the ephemeral range
	high     int

	row    []int // scratch: the ports of one slot
	claims claims
	work   int // claims so far
}

// claims are the ports that the check under way has given out: on some address, on all addresses, and on the address of
// the slots that are being looked at. It remembers what it has set, so that clearing costs what setting did.
type claims struct {
	every, any, here bits
	set              []claimed
	group            int // where in set the present address begins
}

type claimed struct{ proto, port int }

// clear forgets everything.
func (c *claims) clear() {
	c.nextAddress()
	for _, one := range c.set {
		c.every.remove(one.proto, one.port)
		c.any.remove(one.proto, one.port)
	}
	c.set, c.group = c.set[:0], 0
}

// nextAddress forgets what is taken on the present address alone.
func (c *claims) nextAddress() {
	for _, one := range c.set[c.group:] {
		c.here.remove(one.proto, one.port)
	}
	c.group = len(c.set)
}

func (c *claims) isTaken(proto, port int, allAddresses bool) bool {
	return c.here.has(proto, port) || c.any.has(proto, port) || allAddresses && c.every.has(proto, port)
}

func (c *claims) take(proto, port int, allAddresses bool) {
	c.every.add(proto, port)
	c.here.add(proto, port)
	if allAddresses {
		c.any.add(proto, port)
	}
	c.set = append(c.set, claimed{proto, port})
}

// conflictKind is what is wrong with a port.
type conflictKind int

const (
	noConflict       conflictKind = iota
	outOfRange                    // not 1…65535
	takenByCluster                // by another listener of this cluster
	takenBySource                 // by something in the source's config that no listener stands for
	heldByOther                   // by somebody else
	inEphemeralRange              // in the range of outgoing connections
)

// conflict is the first thing that is wrong with a layout.
type conflict struct {
	kind   conflictKind
	slot   *nodeSlot // nil for a shared rule
	rule   int
	proto  int
	port   int
	with   layout
	strict bool
}

func newSolver(t *template.Template, o *Options, h Host, enabled map[string]bool) (*solver, error) {
	order, sums, err := template.DeriveOrder(t.Listeners)
	if err != nil {
		return nil, &Refusal{Text: err.Error()}
	}
	s := &solver{order: order, spread: o.Spread, used: new(portSet), formed: new(portSet), low: h.EphemeralLow, high: h.EphemeralHigh}
	position := make(map[string]int, len(t.Listeners))
	for i, l := range t.Listeners {
		position[l.Name] = i
	}
	for i := range t.Listeners {
		s.rules = append(s.rules, s.newRule(&t.Listeners[i], o, sums[i], position))
		s.rules[i].disabled = !enabled[t.Listeners[i].Name]
	}
	for _, i := range order {
		s.rules[i].unmovable = s.isUnmovable(i)
	}
	for i := range t.Shared {
		if enabled[t.Shared[i].Name] {
			s.shared = append(s.shared, s.newRule(&t.Shared[i], o, template.Sum{}, nil))
		}
	}
	s.reserve(o)
	for _, p := range h.Used {
		s.used.add(protoIndex(p.Proto), p.Host, p.Port)
	}
	s.row = make([]int, len(s.rules))
	return s, nil
}

// disableLacked disables the rules of listeners that no slot has.
func (s *solver) disableLacked() {
	for i := range s.rules {
		if !slices.ContainsFunc(s.slots, func(slot *nodeSlot) bool { return !slot.lacks[i] }) {
			s.rules[i].disabled = true
		}
	}
}

// reserve keeps out of the search what stands in the source's config, but for ports that a listener has there: what speaks
// of those means that listener.
func (s *solver) reserve(o *Options) {
	s.reserved = make(map[int]string, len(o.Config.Ports))
	for _, p := range slices.Concat(o.Config.Ports, o.ownPorts()) {
		s.reserved[p.Port] = p.File + ": " + p.Key
	}
	for _, rules := range [][]listenerRule{s.rules, s.shared} {
		for i := range rules {
			delete(s.reserved, rules[i].base)
		}
	}
}

func (s *solver) newRule(l *template.Listener, o *Options, sum template.Sum, position map[string]int) listenerRule {
	one := listenerRule{name: l.Name, base: l.Port, derived: l.Derive != "", plus: sum.Const}
	if l.Bind != "" {
		one.bind, one.any = plainHost(l.Bind)
	}
	for _, p := range l.Protocols {
		one.protos = append(one.protos, protoIndex(p))
	}
	if port := o.Config.Listeners[l.Name].Port; port > 0 {
		one.base, one.derived, sum = port, false, template.Sum{}
	}
	if port := o.Set[l.Name]; port > 0 {
		one.base, one.pinned = port, true
	}
	one.exempt = !one.derived && s.isEphemeral(one.base)
	for _, t := range sum.Terms {
		next := term{sign: t.Sign}
		switch t.Name {
		case "number":
			next.rule = byNumber
		case "index":
			next.rule = byIndex
		default:
			next.rule = position[t.Name]
		}
		one.sum = append(one.sum, next)
	}
	return one
}

func (s *solver) isUnmovable(i int) bool {
	if !s.rules[i].derived {
		return false
	}
	for _, t := range s.rules[i].sum {
		if t.rule >= 0 && !s.rules[t.rule].unmovable {
			return false
		}
	}
	return true
}

func (s *solver) isEphemeral(port int) bool { return s.high > 0 && port >= s.low && port <= s.high }

// ports gives the ports of a slot by rule; the slice is overwritten by the next call.
func (s *solver) ports(slot *nodeSlot, c layout) []int {
	for _, i := range s.order {
		l := &s.rules[i]
		switch {
		case slot.fixed != nil && slot.fixed[i] > 0:
			s.row[i] = slot.fixed[i]
		case !l.derived:
			s.row[i] = l.base + (slot.index-1)*c.offset + c.displace
			if !l.pinned {
				s.row[i] += c.shift
			}
		default:
			s.row[i] = l.plus
			for _, t := range l.sum {
				switch t.rule {
				case byNumber:
					s.row[i] += t.sign * slot.number
				case byIndex:
					s.row[i] += t.sign * slot.index
				default:
					s.row[i] += t.sign * s.row[t.rule]
				}
			}
		}
	}
	return s.row
}

func (l *listenerRule) sharedPort(c layout) int {
	if l.pinned {
		return l.base
	}
	return l.base + c.shift
}

// address is the address that a rule of a slot is bound to.
func (l *listenerRule) address(slot *nodeSlot) string {
	if l.bind != "" {
		return l.bind
	}
	return slot.plain
}

// check gives the first conflict of a layout, of kind fine if there is none. A strict check also stays out of the
// ephemeral range.
func (s *solver) check(c layout, strict bool) conflict {
	s.claims.clear()
	for n, slot := range s.slots {
		s.setAddress(slot, c)
		if n == 0 {
			for i := range s.shared {
				l := &s.shared[i]
				if k, proto := s.claim(l, l.address(slot), l.sharedPort(c), strict); k != noConflict {
					return conflict{k, nil, i, proto, l.sharedPort(c), c, strict}
				}
			}
		} else if slot.plain != s.slots[n-1].plain {
			s.claims.nextAddress()
		}
		row := s.ports(slot, c)
		for i := range s.rules {
			l := &s.rules[i]
			if l.disabled || slot.lacks[i] {
				continue
			}
			if k, proto := s.claim(l, l.address(slot), row[i], strict); k != noConflict {
				return conflict{k, slot, i, proto, row[i], c, strict}
			}
		}
	}
	return conflict{}
}

// claim takes a port for a rule in this round, or returns why it can't be had. A rule that is bound to an address of its
// own, rather than the node's, is treated as if it took all addresses: rare, and then on the safe side.
func (s *solver) claim(l *listenerRule, host string, port int, strict bool) (conflictKind, int) {
	s.work++
	if port < 1 || port > 65535 {
		return outOfRange, l.protos[0]
	}
	allAddresses := l.any || l.bind != ""
	for _, proto := range l.protos {
		switch {
		case s.claims.isTaken(proto, port, allAddresses):
			return takenByCluster, proto
		case s.formed.blocks(proto, host, l.any, port):
			return takenByCluster, proto
		case s.reserved[port] != "":
			return takenBySource, proto
		case s.used.blocks(proto, host, l.any, port):
			return heldByOther, proto
		case strict && !l.exempt && s.isEphemeral(port):
			return inEphemeralRange, proto
		}
		s.claims.take(proto, port, allAddresses)
	}
	return noConflict, 0
}

// setAddress puts a slot on the address that a layout gives it.
func (s *solver) setAddress(slot *nodeSlot, c layout) {
	if s.spread && (slot.block != c.block || slot.host == "") {
		slot.host = spreadHost(c.block, slot.index)
		slot.plain, slot.block = slot.host, c.block
	}
}
