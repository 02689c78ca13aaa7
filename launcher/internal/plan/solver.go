package plan

import (
	"onemore/launcher/internal/template"
)

// line is one listener as the solver sees it: where its ports come from.
type line struct {
	name    string
	protos  []int
	bind    string // "" the node's own address
	any     bool   // bound on all addresses
	base    int    // port of node 1, for a declared one
	pinned  bool   // base was set by hand: Shift does not move it
	derived bool
	sum     []term // for a derived one
	plus    int
	still   bool // derived from numbers only: neither offset nor shift moves it
	exempt  bool // node 1 has it inside of the ephemeral range already
	off     bool // its when is false: only for others to be derived from
}

// term is a name in a derived line's sum.
type term struct {
	sign int
	line int // position of a line, or one of the two below
}

const (
	byNumber = -1
	byIndex  = -2
)

// seat is a node that is being planned.
type seat struct {
	index     int
	nameIndex int
	number    int
	name      string
	host      string
	plain     string // host as portSet writes it
	block     int    // of the address, where nodes have addresses of their own
	fixed     []int  // by line: a port set for this node alone, else 0; nil: none
}

// owned is a listener that is there already.
type owned struct {
	Listener
	who string
}

// candidate is one way to lay out the ports.
type candidate struct {
	offset, shift int
	nudge         int // added to all ports of a node that comes to a formed cluster
	block         int
}

// solver looks for a candidate that works. It never changes what it was made of.
type solver struct {
	lines  []line
	order  []int // lines, each after those that it is derived from
	shared []line
	seats  []*seat
	spread bool

	used   *portSet // others' ports
	formed *portSet // those of the cluster's present nodes
	there  []owned  // the same, with their owners' names
	low    int      // the ephemeral range
	high   int

	row    []int // scratch: the ports of one seat
	claims claims
	work   int // claims so far
}

// claims are the ports that the check under way has given out: on some address, on all addresses, and on the address of
// the seats that are being looked at. It remembers what it has set, so that clearing costs what setting did.
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

func (c *claims) isTaken(proto, port int, wide bool) bool {
	return c.here.has(proto, port) || c.any.has(proto, port) || wide && c.every.has(proto, port)
}

func (c *claims) take(proto, port int, wide bool) {
	c.every.add(proto, port)
	c.here.add(proto, port)
	if wide {
		c.any.add(proto, port)
	}
	c.set = append(c.set, claimed{proto, port})
}

// kind is what is wrong with a port.
type kind int

const (
	fine      kind = iota
	outside        // not 1…65535
	taken          // by another listener of this cluster
	held           // by somebody else
	ephemeral      // in the range of outgoing connections
)

// trouble is the first thing that is wrong with a candidate.
type trouble struct {
	kind   kind
	seat   *seat // nil for a shared line
	line   int
	proto  int
	port   int
	with   candidate
	strict bool
}

func newSolver(t *template.Template, o *Options, h Host, present map[string]bool) (*solver, error) {
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
		s.lines = append(s.lines, s.newLine(&t.Listeners[i], o, sums[i], position))
		s.lines[i].off = !present[t.Listeners[i].Name]
	}
	for _, i := range order {
		s.lines[i].still = s.isStill(i)
	}
	for i := range t.Shared {
		if present[t.Shared[i].Name] {
			s.shared = append(s.shared, s.newLine(&t.Shared[i], o, template.Sum{}, nil))
		}
	}
	for _, p := range h.Used {
		s.used.add(protoIndex(p.Proto), p.Host, p.Port)
	}
	s.row = make([]int, len(s.lines))
	return s, nil
}

func (s *solver) newLine(l *template.Listener, o *Options, sum template.Sum, position map[string]int) line {
	one := line{name: l.Name, base: l.Port, derived: l.Derive != "", plus: sum.Const}
	if l.Bind != "" {
		one.bind, one.any = plainHost(l.Bind)
	}
	for _, p := range l.Protocols {
		one.protos = append(one.protos, protoIndex(p))
	}
	if port := o.Declared[l.Name]; port > 0 && !one.derived {
		one.base = port
	}
	if port := o.Set[l.Name]; port > 0 {
		one.base, one.pinned = port, true
	}
	one.exempt = !one.derived && s.isEphemeral(one.base)
	for _, t := range sum.Terms {
		next := term{sign: t.Sign}
		switch t.Name {
		case "number":
			next.line = byNumber
		case "index":
			next.line = byIndex
		default:
			next.line = position[t.Name]
		}
		one.sum = append(one.sum, next)
	}
	return one
}

func (s *solver) isStill(i int) bool {
	if !s.lines[i].derived {
		return false
	}
	for _, t := range s.lines[i].sum {
		if t.line >= 0 && !s.lines[t.line].still {
			return false
		}
	}
	return true
}

func (s *solver) isEphemeral(port int) bool { return s.high > 0 && port >= s.low && port <= s.high }

// ports gives the ports of a seat by line; the slice is overwritten by the next call.
func (s *solver) ports(at *seat, c candidate) []int {
	for _, i := range s.order {
		l := &s.lines[i]
		switch {
		case at.fixed != nil && at.fixed[i] > 0:
			s.row[i] = at.fixed[i]
		case !l.derived:
			s.row[i] = l.base + (at.index-1)*c.offset + c.nudge
			if !l.pinned {
				s.row[i] += c.shift
			}
		default:
			s.row[i] = l.plus
			for _, t := range l.sum {
				switch t.line {
				case byNumber:
					s.row[i] += t.sign * at.number
				case byIndex:
					s.row[i] += t.sign * at.index
				default:
					s.row[i] += t.sign * s.row[t.line]
				}
			}
		}
	}
	return s.row
}

func (l *line) sharedPort(c candidate) int {
	if l.pinned {
		return l.base
	}
	return l.base + c.shift
}

// where is the address that a line of a seat is bound to.
func (l *line) where(at *seat) string {
	if l.bind != "" {
		return l.bind
	}
	return at.plain
}

// check gives the first trouble of a candidate, of kind fine if there is none. A strict check also stays out of the
// ephemeral range.
func (s *solver) check(c candidate, strict bool) trouble {
	s.claims.clear()
	for n, at := range s.seats {
		s.place(at, c)
		if n == 0 {
			for i := range s.shared {
				l := &s.shared[i]
				if k, proto := s.claim(l, l.where(at), l.sharedPort(c), strict); k != fine {
					return trouble{k, nil, i, proto, l.sharedPort(c), c, strict}
				}
			}
		} else if at.plain != s.seats[n-1].plain {
			s.claims.nextAddress()
		}
		row := s.ports(at, c)
		for i := range s.lines {
			l := &s.lines[i]
			if l.off {
				continue
			}
			if k, proto := s.claim(l, l.where(at), row[i], strict); k != fine {
				return trouble{k, at, i, proto, row[i], c, strict}
			}
		}
	}
	return trouble{}
}

// claim takes a port for a line in this round, or tells why it can't be had. A line that is bound to an address of its
// own, rather than the node's, is treated as if it took all addresses: rare, and then on the safe side.
func (s *solver) claim(l *line, host string, port int, strict bool) (kind, int) {
	s.work++
	if port < 1 || port > 65535 {
		return outside, l.protos[0]
	}
	wide := l.any || l.bind != ""
	for _, proto := range l.protos {
		switch {
		case s.claims.isTaken(proto, port, wide):
			return taken, proto
		case s.formed.blocks(proto, host, l.any, port):
			return taken, proto
		case s.used.blocks(proto, host, l.any, port):
			return held, proto
		case strict && !l.exempt && s.isEphemeral(port):
			return ephemeral, proto
		}
		s.claims.take(proto, port, wide)
	}
	return fine, 0
}

// place puts a seat on the address that a candidate gives it.
func (s *solver) place(at *seat, c candidate) {
	if s.spread && (at.block != c.block || at.host == "") {
		at.host = spreadHost(c.block, at.index)
		at.plain, at.block = at.host, c.block
	}
}
