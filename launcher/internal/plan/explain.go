package plan

import (
	"fmt"
	"slices"
	"strconv"
)

// explainer says in words what is wrong with a layout, and what is done about it.
type explainer struct{ *solver }

// describeListener names a listener for people: `listener "mqtt" of node 2`.
func (s explainer) describeListener(slot *nodeSlot, rule int) string {
	if slot == nil {
		return fmt.Sprintf("listener %q of the cluster", s.shared[rule].name)
	}
	return fmt.Sprintf("listener %q of node %d", s.rules[rule].name, slot.index)
}

// describeConflict says what is wrong with a layout.
func (s explainer) describeConflict(bad conflict) string {
	cause := ""
	if bad.with.offset != 0 && bad.slot != nil && bad.slot.index > 1 {
		cause = fmt.Sprintf("offset %d: ", bad.with.offset)
	}
	owner := s.describeListener(bad.slot, bad.rule)
	port := protoName(bad.proto) + " port " + strconv.Itoa(bad.port)
	switch bad.kind {
	case outOfRange:
		return fmt.Sprintf("%s%s would need port %d; ports are 1 to 65535", cause, owner, bad.port)
	case takenByCluster:
		return fmt.Sprintf("%s%s would be given to %s and to %s", cause, port, s.otherClaimant(bad), owner)
	case takenBySource:
		return fmt.Sprintf("%s%s, for %s, stands in the source's config too (%s)", cause, port, owner, s.reserved[bad.port])
	case heldByOther:
		return fmt.Sprintf("%s%s, for %s, is in use", cause, port, owner)
	case inEphemeralRange:
		return fmt.Sprintf("%s%s, for %s, lies in %d to %d, from which the kernel takes ports for outgoing connections", cause, port, owner, s.low, s.high)
	}
	return ""
}

// otherClaimant names the listener that has a taken port already.
func (s explainer) otherClaimant(bad conflict) string {
	for n, slot := range s.slots {
		s.setAddress(slot, bad.with)
		for i := range s.shared {
			if n == 0 && s.shared[i].sharedPort(bad.with) == bad.port && slices.Contains(s.shared[i].protos, bad.proto) && (bad.slot != nil || i != bad.rule) {
				return s.describeListener(nil, i)
			}
		}
		row := s.ports(slot, bad.with)
		for i := range s.rules {
			if slot == bad.slot && i == bad.rule || s.rules[i].disabled || slot.lacks[i] {
				continue
			}
			if row[i] == bad.port && slices.Contains(s.rules[i].protos, bad.proto) {
				return s.describeListener(slot, i)
			}
		}
	}
	for _, one := range s.existing {
		if one.Port == bad.port && slices.Contains(one.Protocols, protoName(bad.proto)) {
			return one.owner
		}
	}
	return "a node that is there already"
}

// note says why not the wanted layout, and which one is used instead.
func (s explainer) note(why conflict, wanted, chosen layout) string {
	text := s.describeConflict(why) + ";"
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

func (s explainer) displaceNote(why conflict, chosen layout) []string {
	if chosen.displace == 0 {
		return []string{s.describeConflict(why) + "; no way around it was found"}
	}
	return []string{fmt.Sprintf("%s; the ports of node %d are moved by %+d", s.describeConflict(why), s.slots[0].index, chosen.displace)}
}

// refusal is the error for a conflict that no layout gets around.
func (s explainer) refusal(bad conflict, o *Options) error {
	if bad.kind == heldByOther {
		return s.portError(bad, o)
	}
	text := s.describeConflict(bad)
	if o.Offset != 0 {
		return &Refusal{Text: text, Hint: s.offsetHint(*o)}
	}
	if o.Formed != nil {
		return &Refusal{Text: "there is no place left for a node: " + text, Hint: "add fewer nodes; a cluster that is made with a smaller --offset has room for more"}
	}
	if bad.slot != nil && bad.slot.index > 1 {
		text = fmt.Sprintf("no offset works for %d nodes: %s", len(s.slots), text)
	}
	return &Refusal{Text: text, Hint: "make fewer nodes, or move a listener of node 1 with --set LISTENER=PORT"}
}

// offsetHint looks for an offset that works in place of the one that was given.
func (s explainer) offsetHint(o Options) string {
	o.Offset, o.Base = 0, Base{Shift: o.Base.Shift}
	for c := range s.layouts(&o, true) {
		if !s.spread && s.check(c, true).kind == noConflict {
			return fmt.Sprintf("--offset %d works; without --offset one is chosen", c.offset)
		}
	}
	return "leave --offset out, make fewer nodes, or move a listener with --set LISTENER=PORT"
}

func (s explainer) portError(bad conflict, o *Options) error {
	e := &PortError{Proto: protoName(bad.proto), Port: bad.port}
	slot, rules := s.slots[0], s.shared
	if bad.slot != nil {
		slot, rules = bad.slot, s.rules
		e.Node, e.NodeName = slot.index, slot.name
	}
	s.setAddress(slot, bad.with)
	l := &rules[bad.rule]
	e.Listener = l.name
	e.Host = slot.host
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
