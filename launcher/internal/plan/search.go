package plan

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
)

const (
	shiftStep   = 10   // --base auto tries shifts of 10, 20, …: ports stay easy to read
	offsetTries = 48   // offsets that --base auto tries at each shift
	blocks      = 256  // third octets of --spread address
	perBlock    = 254  // nodes that a block has room for
	numberTries = 1000 // places that --base auto tries for node numbers
	workLimit   = 1e6  // ports looked at before a search gives up: some hundredths of a second
)

func spreadHost(block, index int) string {
	return "127.0." + strconv.Itoa(block) + "." + strconv.Itoa(index)
}

// solve gives the first layout that works, by the options' wish, and what people should know about it.
func (s *solver) solve(o *Options) (layout, []string, error) {
	if s.spread && s.slots[len(s.slots)-1].index > perBlock {
		return layout{}, nil, &Refusal{Text: fmt.Sprintf("an address per node reaches to node %d", perBlock), Hint: "leave --spread out"}
	}
	if err := s.tooMany(len(s.slots)); err != nil {
		return layout{}, nil, err
	}
	if bad := s.checkUnmovable(o); bad.kind != noConflict {
		return layout{}, nil, explainer{s}.refusal(bad, o)
	}
	first := layout{offset: o.Offset, shift: o.Base.Shift}
	if first.offset == 0 && !s.spread {
		first.offset = DefaultOffset
	}
	strict := o.Offset == 0 // what the user gave is not second-guessed
	wanted := s.check(first, strict)
	if wanted.kind == noConflict {
		return first, nil, nil
	}
	for _, strict := range []bool{true, false} {
		s.work = 0
		for c := range s.layouts(o, strict) {
			if s.work > workLimit {
				break
			}
			if s.check(c, strict).kind != noConflict {
				continue
			}
			if c == first { // only the ephemeral range spoke against it
				return c, []string{explainer{s}.describeConflict(wanted) + "; no way around it was found"}, nil
			}
			return c, []string{explainer{s}.note(wanted, first, c)}, nil
		}
	}
	if wanted.kind == inEphemeralRange {
		wanted = s.check(first, false)
	}
	return layout{}, nil, explainer{s}.refusal(wanted, o)
}

// tooMany refuses what the number of ports alone rules out, before any port is looked at.
func (s *solver) tooMany(nodes int) error {
	each := 0
	for i := range s.rules {
		if !s.rules[i].disabled {
			each++
		}
	}
	if !s.spread && nodes*each > 65535 {
		return &Refusal{Text: fmt.Sprintf("%d nodes with %d ports each don't fit into 65535 ports", nodes, each), Hint: "make fewer nodes"}
	}
	return nil
}

// checkUnmovable looks at the ports that no offset moves, where no other base may be tried: those of node 1, of shared rules and
// of rules that come from numbers. If somebody holds one, that is the answer.
func (s *solver) checkUnmovable(o *Options) conflict {
	c := layout{offset: o.Offset, shift: o.Base.Shift}
	for n, slot := range s.slots {
		if s.spread && n == 0 {
			s.setAddress(slot, c)
		}
		for i := range s.shared {
			if l := &s.shared[i]; n == 0 && (!o.Base.Auto || l.pinned) {
				if bad := s.heldAt(l, l.address(slot), l.sharedPort(c)); bad.kind != noConflict {
					bad.rule, bad.with = i, c
					return bad
				}
			}
		}
		if s.spread {
			continue // another block may be tried for all
		}
		row := s.ports(slot, c)
		for i := range s.rules {
			l := &s.rules[i]
			moves := !l.unmovable && (o.Base.Auto && !l.pinned || slot.index != 1) && (slot.fixed == nil || slot.fixed[i] == 0)
			if l.disabled || slot.lacks[i] || moves {
				continue
			}
			if bad := s.heldAt(l, l.address(slot), row[i]); bad.kind != noConflict {
				bad.slot, bad.rule, bad.with = slot, i, c
				return bad
			}
		}
	}
	return conflict{}
}

func (s *solver) heldAt(l *listenerRule, host string, port int) conflict {
	for _, proto := range l.protos {
		if port > 0 && port <= 65535 && s.used.blocks(proto, host, l.any, port) {
			return conflict{kind: heldByOther, proto: proto, port: port}
		}
	}
	return conflict{}
}

// layouts gives, nearest first, all that the options allow; strictly, only what may stay out of the ephemeral range.
func (s *solver) layouts(o *Options, strict bool) iter.Seq[layout] {
	if s.spread {
		return spreadLayouts(o.Offset, o.Base)
	}
	moves := func(yield func(int) bool) { yield(o.Base.Shift) }
	if o.Base.Auto {
		moves = shifts
	}
	return func(yield func(layout) bool) {
		for shift := range moves {
			tries := 0
			for offset := range s.offsets(o, shift, strict) {
				if tries++; o.Base.Auto && tries > offsetTries {
					break
				}
				if !yield(layout{offset: offset, shift: shift}) {
					return
				}
			}
		}
	}
}

// spreadLayouts tries other addresses first, then other ports.
func spreadLayouts(offset int, base Base) iter.Seq[layout] {
	return func(yield func(layout) bool) {
		for block := range blocks {
			if !yield(layout{offset: offset, shift: base.Shift, block: block}) {
				return
			}
		}
		if !base.Auto {
			return
		}
		for shift := range shifts {
			if !yield(layout{offset: offset, shift: shift}) {
				return
			}
		}
	}
}

// shifts are what --base auto moves ports by: tens first.
func shifts(yield func(int) bool) {
	for shift := 0; shift <= 65535; shift += shiftStep {
		if !yield(shift) {
			return
		}
	}
	for shift := range 65535 {
		if shift%shiftStep != 0 && !yield(shift) {
			return
		}
	}
}

// offsets are the steps that may be tried, those nearest to the default first.
func (s *solver) offsets(o *Options, shift int, strict bool) iter.Seq[int] {
	return func(yield func(int) bool) {
		if o.Offset != 0 || s.slots[len(s.slots)-1].index == 1 {
			offset := o.Offset
			if offset == 0 {
				offset = DefaultOffset
			}
			yield(offset)
			return
		}
		top := s.topBelow(shift, 65535)
		if strict && s.high > 0 {
			top = min(top, s.topBelow(shift, s.low-1))
		}
		for d := range max(top, DefaultOffset) {
			if up := DefaultOffset + d; up <= top && !yield(up) {
				return
			}
			if down := DefaultOffset - d; d > 0 && down >= 1 && down <= top && !yield(down) {
				return
			}
		}
	}
}

// topBelow is the largest step that keeps the last node's ports up to a limit. Listeners that are above it with node 1
// don't count.
func (s *solver) topBelow(shift, limit int) int {
	last := s.slots[len(s.slots)-1]
	base := slices.Clone(s.ports(last, layout{shift: shift}))
	step := s.ports(last, layout{shift: shift, offset: 1})
	top := 65535
	for i := range s.rules {
		slope := step[i] - base[i]
		if !s.rules[i].disabled && slope > 0 && base[i] <= limit {
			top = min(top, (limit-base[i])/slope)
		}
	}
	return top
}

// numbers gives the first shift of node numbers at which all rules that come from numbers are free. Where the options
// leave the base alone there is one choice, and solve returns what is wrong with it.
func (s *solver) numbers(o *Options, call func(shift int) error) (int, error) {
	if o.Base == (Base{}) || !s.hasUnmovable() {
		return 0, call(0)
	}
	step := 10
	for step <= s.slots[len(s.slots)-1].index {
		step *= 10
	}
	names := ""
	for try := range numberTries {
		if err := call(try * step); err != nil {
			return 0, err
		}
		if s.slots[0].name == names { // the template's names don't follow
			break
		}
		names = s.slots[0].name
		if s.unmovableFree() {
			return try * step, nil
		}
	}
	return 0, call(0)
}

func (s *solver) hasUnmovable() bool {
	for i := range s.rules {
		if s.rules[i].unmovable && !s.rules[i].disabled {
			return true
		}
	}
	return false
}

func (s *solver) unmovableFree() bool {
	for _, slot := range s.slots {
		s.setAddress(slot, layout{})
		row := s.ports(slot, layout{})
		for i := range s.rules {
			l := &s.rules[i]
			if !l.unmovable || l.disabled {
				continue
			}
			for _, proto := range l.protos {
				if row[i] < 1 || row[i] > 65535 || s.used.blocks(proto, l.address(slot), l.any, row[i]) || s.formed.blocks(proto, l.address(slot), l.any, row[i]) {
					return false
				}
			}
		}
	}
	return true
}

// displace finds the place of one node that comes to a formed cluster: the one that its index gives it, or the nearest.
func (s *solver) displace(o *Options, at layout) (layout, []string, error) {
	wanted := s.check(at, o.Offset == 0)
	if wanted.kind == noConflict {
		return at, nil, nil
	}
	if o.Offset != 0 {
		return at, nil, explainer{s}.refusal(wanted, o)
	}
	for _, strict := range []bool{true, false} {
		for d := range 65535 {
			for _, displace := range [...]int{d, -d} {
				c := at
				c.displace = displace
				if s.check(c, strict).kind == noConflict {
					return c, explainer{s}.displaceNote(wanted, c), nil
				}
			}
		}
	}
	return at, nil, explainer{s}.refusal(wanted, o)
}
