package plan

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"onemore/launcher/internal/template"
)

// Make plans a cluster, or with Options.Formed an addition to one (also an empty one: then only the calls of the present
// nodes are made anew, for the members that are Acting). The template is one that Parse gave. The error is a *Refusal, a
// *PortError, or several of them joined.
func Make(t *template.Template, o Options, h Host) (*Plan, error) {
	config := o.Config
	if o.Formed != nil {
		config = o.Formed.Options.Config
		if t.Membership == "fixed" && len(o.Nodes) > 0 {
			return nil, FixedRefusal(o.Formed.Cluster, t.Name, "added to")
		}
	}
	t, o, err := o.resolve(t)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		Cluster: o.Cluster, ID: o.ID, Template: t.Name, Dir: o.Dir, Staged: t.Start.Order == "staged", Fixed: t.Membership == "fixed", Options: o,
	}
	p.Options.Config = config
	p.Options.Nodes, p.Options.Formed, p.Options.Acting, p.Options.Renew, p.Options.Places = nil, nil, nil, nil, nil
	p.Options.Roles, p.Options.Role = nil, ""
	enabled, err := enabledListeners(t, &o)
	if err != nil {
		return nil, err
	}
	if o.Formed != nil {
		p.adopt(o.Formed)
	}
	slots, err := p.layOut(t, &o, h, enabled)
	if err != nil {
		return nil, err
	}
	p.Inherit = InheritOf(t, &o)
	p.noteLeftOut(&o, h)
	x := newExpander(t, &o, p, enabled)
	return p, x.fill(slots)
}

// FixedRefusal says that no node can be added to, or removed from, a cluster that keeps its nodes.
func FixedRefusal(cluster, template, change string) *Refusal {
	return &Refusal{Text: fmt.Sprintf("no node can be %s cluster %q: clusters of %q keep the nodes that they were made with", change, cluster, template),
		Hint: "`onemore down`, and `up` with the number that you want"}
}

// adopt takes over what a formed cluster is.
func (p *Plan) adopt(f *Plan) {
	p.Offset, p.Shift, p.NumberShift, p.Block = f.Offset, f.Shift, f.NumberShift, f.Block
	p.Shared, p.Services = f.Shared, f.Services
	p.Nodes, p.Notes = slices.Clone(f.Nodes), slices.Clone(f.Notes)
}

// enabledListeners returns the listeners that the options leave on, by name.
func enabledListeners(t *template.Template, o *Options) (map[string]bool, error) {
	enabled := make(map[string]bool, len(t.Listeners)+len(t.Shared))
	data := o.sharedData()
	for k, list := range [][]template.Listener{t.Listeners, t.Shared} {
		for i := range list {
			on := true // of the nodes' own, each node has its own say: lackedBy
			if k == 1 {
				var err error
				if on, err = isTrue(t, list[i].When, data); err != nil {
					return nil, fmt.Errorf("plan listener %q: %w", list[i].Name, err)
				}
			}
			declared := o.Config.Listeners[list[i].Name]
			enabled[list[i].Name] = on && !declared.Off && (!list[i].IfDeclared || declared.Port > 0)
		}
	}
	return enabled, nil
}

func (o *Options) sharedData() template.SharedData {
	return template.SharedData{Sources: template.Sources{Config: o.Config}, Cluster: o.Cluster, Join: o.Join, Param: o.Params}
}

// whenData is what the when of a listener, or of a place, of one node sees.
func (o *Options) whenData(index int, role string) template.WhenData {
	return template.WhenData{SharedData: o.sharedData(), Index: index, Role: role}
}

// lackedBy says which of the template's listeners the when of each keeps from a node.
func (o *Options) lackedBy(t *template.Template, slot *nodeSlot) ([]bool, error) {
	lacks := make([]bool, len(t.Listeners))
	for i := range t.Listeners {
		on, err := isTrue(t, t.Listeners[i].When, o.whenData(slot.index, slot.role))
		if err != nil {
			return nil, fmt.Errorf("plan listener %q of node %d: %w", t.Listeners[i].Name, slot.index, err)
		}
		lacks[i] = !on
	}
	return lacks, nil
}

// isTrue expands a when; the empty one is true.
func isTrue(t *template.Template, when string, data any) (bool, error) {
	if when == "" {
		return true, nil
	}
	got, err := t.Expand(when, data)
	if err != nil {
		return false, err
	}
	if got != "true" && got != "false" {
		return false, fmt.Errorf("when %q expands to %q, which is neither true nor false", when, got)
	}
	return got == "true", nil
}

// placedSlot is a new node whose place is decided.
type placedSlot struct {
	*nodeSlot
	ports []int // by the template's listeners
}

// layOut decides names, addresses and ports of the new nodes.
func (p *Plan) layOut(t *template.Template, o *Options, h Host, enabled map[string]bool) ([]placedSlot, error) {
	if len(o.Nodes) == 0 {
		return nil, nil
	}
	s, err := newSolver(t, o, h, enabled)
	if err != nil {
		return nil, err
	}
	roles, err := o.rolesOf(t)
	if err != nil {
		return nil, err
	}
	for _, index := range slices.Sorted(slices.Values(o.Nodes)) {
		slot := newSlot(t, o, index)
		slot.role = roles[index]
		if slot.lacks, err = o.lackedBy(t, slot); err != nil {
			return nil, err
		}
		s.slots = append(s.slots, slot)
	}
	s.disableLacked()
	if o.Formed != nil {
		return p.layOutMore(t, o, s)
	}
	if p.NumberShift, err = s.numbers(o, func(shift int) error { return s.nameSlots(t, o, shift, 0) }); err != nil {
		return nil, err
	}
	c, notes, err := s.solve(o)
	if err != nil {
		return nil, err
	}
	p.Offset, p.Shift, p.Block, p.Notes = c.offset, c.shift, c.block, notes
	for i := range s.shared {
		p.Shared = append(p.Shared, Listener{Name: s.shared[i].name, Host: s.slots[0].host, Port: s.shared[i].sharedPort(c)})
	}
	if c.block != 0 {
		if err := s.nameSlots(t, o, p.NumberShift, c.block); err != nil {
			return nil, err
		}
	}
	return s.placed(c), p.uniqueNames(s.slots)
}

// layOutMore places nodes that come to a formed cluster, one by one, so that none moves what is there.
func (p *Plan) layOutMore(t *template.Template, o *Options, s *solver) ([]placedSlot, error) {
	for _, l := range p.Shared {
		s.occupy(l, fmt.Sprintf("listener %q of the cluster", l.Name))
	}
	for i := range p.Nodes {
		for _, l := range p.Nodes[i].Listeners {
			s.occupy(l, fmt.Sprintf("listener %q of node %d", l.Name, p.Nodes[i].Index))
		}
	}
	s.shared = nil
	at := layout{offset: p.Offset, shift: p.Shift, block: p.Block}
	all := s.slots
	if err := s.tooMany(len(p.Nodes) + len(all)); err != nil {
		return nil, err
	}
	var done []placedSlot
	for _, one := range all {
		s.slots = []*nodeSlot{one}
		if err := s.nameSlots(t, o, p.NumberShift, p.Block); err != nil {
			return nil, err
		}
		c, notes, err := s.displace(o, at)
		if err != nil {
			return nil, err
		}
		p.Notes = append(p.Notes, notes...)
		placed := s.placed(c)[0]
		for i := range s.rules {
			if l := &s.rules[i]; !l.disabled && !one.lacks[i] {
				s.occupy(Listener{Name: l.name, Bind: bindOf(l, one), Port: placed.ports[i], Protocols: t.Listeners[i].Protocols}, explainer{s}.describeListener(one, i))
			}
		}
		done = append(done, placed)
	}
	return done, p.uniqueNames(all)
}

// occupy takes the ports of what is there already out of the search.
func (s *solver) occupy(l Listener, owner string) {
	s.existing = append(s.existing, existingListener{l, owner})
	for _, proto := range l.Protocols {
		s.formed.add(protoIndex(proto), l.Bind, l.Port)
	}
}

func bindOf(l *listenerRule, slot *nodeSlot) string {
	if l.bind != "" {
		return l.bind
	}
	return slot.host
}

func newSlot(t *template.Template, o *Options, index int) *nodeSlot {
	slot := &nodeSlot{index: index}
	if !o.Spread {
		slot.host = o.Host
		slot.plain, _ = plainHost(o.Host)
	}
	if set := o.Node[index].Set; len(set) > 0 {
		slot.fixed = make([]int, len(t.Listeners))
		for i, l := range t.Listeners {
			slot.fixed[i] = set[l.Name]
		}
	}
	return slot
}

// nameSlots gives the slots their names at a shift of the numbers in them.
func (s *solver) nameSlots(t *template.Template, o *Options, shift, block int) error {
	for _, slot := range s.slots {
		s.setAddress(slot, layout{block: block})
		slot.nameIndex = slot.index + shift
		name, err := t.Expand(t.Node.Name, template.NameData{
			Index: slot.index, NameIndex: slot.nameIndex, Role: slot.role, Host: slot.host, Cluster: o.Cluster, Param: o.Params,
		})
		if err != nil {
			return fmt.Errorf("plan node %d: %w", slot.index, err)
		}
		slot.name, slot.number = name, NumberIn(name)
	}
	return nil
}

// NumberIn is the number at the end of a node name's part before the @; 0 if there is none.
func NumberIn(name string) int {
	local := name
	for i := range len(name) {
		if name[i] == '@' {
			local = name[:i]
			break
		}
	}
	digits := len(local)
	for digits > 0 && local[digits-1] >= '0' && local[digits-1] <= '9' {
		digits--
	}
	n, err := strconv.Atoi(local[digits:])
	if err != nil {
		return 0
	}
	return n
}

func (p *Plan) uniqueNames(slots []*nodeSlot) error {
	byName := make(map[string]int, len(p.Nodes)+len(slots))
	for i := range p.Nodes {
		byName[p.Nodes[i].Name] = p.Nodes[i].Index
	}
	for _, slot := range slots {
		if other, ok := byName[slot.name]; ok {
			return &Refusal{Text: fmt.Sprintf("nodes %d and %d would both be called %q; node.name of the template must tell them apart", other, slot.index, slot.name)}
		}
		byName[slot.name] = slot.index
	}
	return nil
}

// placed gives the slots with the ports of a layout.
func (s *solver) placed(c layout) []placedSlot {
	list := make([]placedSlot, 0, len(s.slots))
	for _, slot := range s.slots {
		s.setAddress(slot, c)
		list = append(list, placedSlot{slot, slices.Clone(s.ports(slot, c))})
	}
	return list
}

// folder is where a node's files are: none is the beginning of another's path, since some servers look for their own
// processes by such a beginning.
func (p *Plan) folder(index int) string { return filepath.Join(p.Dir, strconv.Itoa(index)) }
