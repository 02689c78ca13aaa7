package plan

import (
	"fmt"
	"slices"
	"strconv"
)

// whose names a listener for people: `listener "mqtt" of node 2`.
func (s *solver) whose(at *seat, line int) string {
	if at == nil {
		return fmt.Sprintf("listener %q of the cluster", s.shared[line].name)
	}
	return fmt.Sprintf("listener %q of node %d", s.lines[line].name, at.index)
}

// describe says what is wrong with a candidate.
func (s *solver) describe(bad trouble) string {
	cause := ""
	if bad.with.offset != 0 && bad.seat != nil && bad.seat.index > 1 {
		cause = fmt.Sprintf("offset %d: ", bad.with.offset)
	}
	who := s.whose(bad.seat, bad.line)
	port := protoName(bad.proto) + " port " + strconv.Itoa(bad.port)
	switch bad.kind {
	case outside:
		return fmt.Sprintf("%s%s would need port %d; ports are 1 to 65535", cause, who, bad.port)
	case taken:
		return fmt.Sprintf("%s%s would be given to %s and to %s", cause, port, s.partner(bad), who)
	case held:
		return fmt.Sprintf("%s%s, for %s, is in use", cause, port, who)
	case ephemeral:
		return fmt.Sprintf("%s%s, for %s, lies in %d to %d, from which the kernel takes ports for outgoing connections", cause, port, who, s.low, s.high)
	}
	return ""
}

// partner names the listener that has a taken port already.
func (s *solver) partner(bad trouble) string {
	for n, at := range s.seats {
		s.place(at, bad.with)
		for i := range s.shared {
			if n == 0 && s.shared[i].sharedPort(bad.with) == bad.port && slices.Contains(s.shared[i].protos, bad.proto) && (bad.seat != nil || i != bad.line) {
				return s.whose(nil, i)
			}
		}
		row := s.ports(at, bad.with)
		for i := range s.lines {
			if at == bad.seat && i == bad.line || s.lines[i].off {
				continue
			}
			if row[i] == bad.port && slices.Contains(s.lines[i].protos, bad.proto) {
				return s.whose(at, i)
			}
		}
	}
	for _, one := range s.there {
		if one.Port == bad.port && slices.Contains(one.Protocols, protoName(bad.proto)) {
			return one.who
		}
	}
	return "a node that is there already"
}

// note says why not the wanted candidate, and which one is used instead.
func (s *solver) note(why trouble, wanted, chosen candidate) string {
	text := s.describe(why) + ";"
	switch {
	case chosen.shift != wanted.shift && chosen.offset != wanted.offset:
		text += fmt.Sprintf(" all ports are moved by %d, and offset %d is used", chosen.shift, chosen.offset)
	case chosen.shift != wanted.shift:
		text += fmt.Sprintf(" all ports are moved by %d", chosen.shift)
	case chosen.block != wanted.block:
		text += fmt.Sprintf(" addresses from %s are used", spreadHost(chosen.block, 1))
	default:
		text += fmt.Sprintf(" offset %d is used", chosen.offset)
	}
	return text
}

func (s *solver) nudgeNote(why trouble, chosen candidate) []string {
	if chosen.nudge == 0 {
		return []string{s.describe(why) + "; no way around it was found"}
	}
	return []string{fmt.Sprintf("%s; the ports of node %d are moved by %+d", s.describe(why), s.seats[0].index, chosen.nudge)}
}

// refusal is the error for a trouble that no candidate gets around.
func (s *solver) refusal(bad trouble, o *Options) error {
	if bad.kind == held {
		return s.portError(bad, o)
	}
	text := s.describe(bad)
	if o.Offset != 0 {
		return &Refusal{Text: text, Hint: s.offsetHint(*o)}
	}
	if o.Formed != nil {
		return &Refusal{Text: "there is no place left for a node: " + text, Hint: "add fewer nodes; a cluster that is made with a smaller --offset has room for more"}
	}
	if bad.seat != nil && bad.seat.index > 1 {
		text = fmt.Sprintf("no offset works for %d nodes: %s", len(s.seats), text)
	}
	return &Refusal{Text: text, Hint: "make fewer nodes, or move a listener of node 1 with --set LISTENER=PORT"}
}

// offsetHint looks for an offset that works in place of the one that was given.
func (s *solver) offsetHint(o Options) string {
	o.Offset, o.Base = 0, Base{Shift: o.Base.Shift}
	for c := range s.candidates(&o, true) {
		if !s.spread && s.check(c, true).kind == fine {
			return fmt.Sprintf("--offset %d works; without --offset one is chosen", c.offset)
		}
	}
	return "leave --offset out, make fewer nodes, or move a listener with --set LISTENER=PORT"
}

func (s *solver) portError(bad trouble, o *Options) error {
	e := &PortError{Proto: protoName(bad.proto), Port: bad.port}
	at, lines := s.seats[0], s.shared
	if bad.seat != nil {
		at, lines = bad.seat, s.lines
		e.Node, e.NodeName = at.index, at.name
	}
	s.place(at, bad.with)
	l := &lines[bad.line]
	e.Listener = l.name
	e.Host = at.host
	if l.bind != "" {
		e.Host = l.bind
	}
	switch {
	case o.Base.Auto && l.pinned:
		e.Hint = fmt.Sprintf("leave --set %s=%d out, or set another port", l.name, bad.port)
	case o.Base.Auto:
		e.Hint = "free some ports, or make fewer nodes"
	case o.Formed != nil:
		e.Hint = "free the port, or leave this node out"
	case l.derived:
		e.Hint = "--base auto starts the cluster at free ports and node numbers"
	default:
		e.Hint = fmt.Sprintf("--base auto moves the whole cluster to free ports; --set %s=PORT moves this listener", l.name)
	}
	return e
}
