package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"

	"onemore/launcher/internal/template"
)

// expander turns a template and decided places into the nodes of a plan.
type expander struct {
	texts
	membership
	o       *Options
	p       *Plan
	enabled map[string]bool // listeners that are on
}

func newExpander(t *template.Template, o *Options, p *Plan, enabled map[string]bool) *expander {
	x := &expander{texts: texts{t: t, grows: o.Formed != nil}, o: o, p: p, enabled: enabled}
	x.sources = func(index int) template.Sources { return template.Sources{Config: o.configOf(index)} }
	x.base = template.Data{
		Cluster: o.Cluster, ID: o.ID, Secret: o.Secret, ClusterDir: p.Dir, Onemore: o.Onemore, Join: o.Join,
		Param: o.Params, Tools: o.Tools, Sources: template.Sources{Config: o.Config}, Needed: stacked(o.Needs),
	}
	return x
}

// fill completes the plan: shared listeners and service of a new cluster, the calls of present nodes, and new nodes.
func (x *expander) fill(slots []placedSlot) error {
	added := make([]Node, len(slots))
	for i, slot := range slots {
		n, err := x.placed(slot)
		if err != nil {
			return fmt.Errorf("plan node %d: %w", slot.index, err)
		}
		added[i] = n
		x.added = append(x.added, x.textNode(&added[i]))
	}
	for i := range x.p.Nodes {
		if slices.Contains(x.o.Renew, x.p.Nodes[i].Index) {
			x.p.Nodes[i].Bin = x.o.bin(x.p.Nodes[i].Index)
		}
		node := x.textNode(&x.p.Nodes[i])
		x.formed = append(x.formed, node)
		if x.o.Acting == nil || slices.Contains(x.o.Acting, node.Index) {
			x.running = append(x.running, node)
		}
	}
	if x.o.Formed == nil {
		x.running = x.added
		if err := x.sharedListeners(); err != nil {
			return err
		}
	}
	for _, l := range x.p.Shared {
		x.base.SharedPort = append(x.base.SharedPort, template.Port{Listener: l.Name, Host: l.Host, Port: l.Port})
	}
	if x.o.Formed == nil {
		if err := x.note(slots); err != nil {
			return err
		}
	}
	if err := x.services(); err != nil {
		return err
	}
	if err := x.renewPresent(); err != nil {
		return err
	}
	if len(x.o.Configs) == 0 {
		x.texts.shared = make(map[string]string)
	}
	for i := range added {
		if err := x.complete(&added[i], x.addedData(i, x.o.Formed != nil)); err != nil {
			return fmt.Errorf("plan node %d: %w", added[i].Index, err)
		}
	}
	if err := x.seed(); err != nil {
		return err
	}
	x.p.Nodes = append(x.p.Nodes, added...)
	slices.SortFunc(x.p.Nodes, func(a, b Node) int { return a.Index - b.Index })
	return nil
}

// note completes the notes of a new cluster: what of its sources is elsewhere, is not in the nodes, or was not read.
func (x *expander) note(slots []placedSlot) error {
	notes, err := x.config(0).placeNotes()
	if err != nil {
		return err
	}
	for _, slot := range slots {
		own, err := x.config(slot.index).placeNotes()
		if err != nil {
			return err
		}
		notes = append(notes, slices.DeleteFunc(own, func(note string) bool { return slices.Contains(notes, note) })...)
	}
	own, err := x.o.notes(x.t, len(slots))
	if err != nil {
		return err
	}
	x.p.Notes = slices.Concat(x.p.Notes, notes, own, x.o.Config.Unread)
	return nil
}

// renewPresent makes anew, for the members of now, the starts and calls of present nodes, and what an upgrade changes of them.
func (x *expander) renewPresent() error {
	for i := range x.p.Nodes {
		n := &x.p.Nodes[i]
		d := x.presentData(i, n.Added)
		err := x.renewCalls(n, d)
		if err == nil {
			err = x.renewTexts(n, d)
		}
		if err == nil && slices.Contains(x.o.Renew, n.Index) {
			err = x.renew(n, d)
		}
		if err != nil {
			return fmt.Errorf("plan node %d: %w", x.p.Nodes[i].Index, err)
		}
	}
	return nil
}

// placed makes the part of a new node that does not depend on other nodes.
func (x *expander) placed(slot placedSlot) (Node, error) {
	n := Node{
		Index: slot.index, NameIndex: slot.nameIndex, Added: x.o.Formed != nil, Name: slot.name, Role: slot.role, Host: slot.host, Number: slot.number,
		Folder: x.p.folder(slot.index), Bin: x.o.bin(slot.index), Source: x.o.source(slot.index), Exclude: x.t.Copy.Exclude, Share: x.t.Copy.Share,
		Dirs: x.t.Copy.Dirs, Keep: x.t.Upgrade.Keep, KeepBack: x.t.Upgrade.KeepOnRollback,
	}
	if n.Added {
		n.Salt = x.o.Salt
	}
	if n.Keep == nil {
		n.Keep = x.keptByUpgrade()
	}
	n.Dir = filepath.Join(n.Folder, x.t.Name)
	n.Log = filepath.Join(n.Folder, "node.log")
	n.Listeners = make([]Listener, 0, len(slot.ports))
	for i := range x.t.Listeners {
		if l := &x.t.Listeners[i]; x.enabled[l.Name] && !slot.lacks[i] {
			planned, err := x.listener(l, slot.host, slot.ports[i])
			if err != nil {
				return n, err
			}
			n.Listeners = append(n.Listeners, planned)
		}
	}
	return n, nil
}

// setSource says what of which source a node's directory is made of.
func (x *expander) setSource(n *Node) {
	n.Source, n.Exclude, n.Share, n.Dirs = x.o.source(n.Index), x.t.Copy.Exclude, x.t.Copy.Share, x.t.Copy.Dirs
	n.Keep, n.KeepBack = x.t.Upgrade.Keep, x.t.Upgrade.KeepOnRollback
	if n.Keep == nil {
		n.Keep = x.keptByUpgrade()
	}
}

// keptByUpgrade is what an upgrade leaves as it is where the template does not say: data, and the files that are edited.
func (x *expander) keptByUpgrade() []string {
	keep := slices.Clone(x.t.Copy.Exclude)
	for _, e := range x.t.Edits {
		keep = append(keep, e.File)
	}
	for _, e := range x.t.Join.Methods[x.o.Join].Edits {
		keep = append(keep, e.File)
	}
	for _, f := range x.t.Files {
		keep = append(keep, f.Path)
	}
	for _, l := range x.t.Listeners {
		if l.Value != "" {
			keep = append(keep, l.File)
		}
	}
	for _, p := range x.t.Places {
		keep = append(keep, p.File)
	}
	for _, config := range slices.Concat([]*template.Config{x.o.Config}, slices.Collect(maps.Values(x.o.Configs))) {
		for _, at := range config.Elsewhere {
			keep = append(keep, at.ToFile)
		}
	}
	slices.Sort(keep)
	return slices.Compact(keep)
}

func (x *expander) listener(l *template.Listener, host string, port int) (Listener, error) {
	declared := x.o.Config.Listeners[l.Name]
	out := Listener{
		Name: l.Name, Protocols: l.Protocols, Host: host, Bind: host, Port: port, Optional: l.Optional, Derived: l.Derive != "" && declared.Port == 0,
		Scheme: cmp.Or(declared.Scheme, l.Scheme),
	}
	if l.Bind != "" {
		out.Bind = l.Bind
		if _, any := plainHost(l.Bind); !any {
			out.Host = l.Bind
		}
	}
	out.URL = net.JoinHostPort(out.Host, strconv.Itoa(port))
	if l.URL == "" {
		return out, nil
	}
	url, err := x.t.Expand(l.URL, x.urlData(&out))
	if err != nil {
		return out, fmt.Errorf("listener %q: %w", l.Name, err)
	}
	out.URL = url
	return out, nil
}

// urlData is what the texts of a planned listener see.
func (x *expander) urlData(at *Listener) template.URLData {
	return template.URLData{
		Sources: x.base.Sources, Addr: net.JoinHostPort(at.Host, strconv.Itoa(at.Port)), Host: at.Host, Port: at.Port, Scheme: at.Scheme,
	}
}

// textNode is what texts see of a planned node.
func (x *expander) textNode(n *Node) *template.Node {
	seen := &template.Node{
		Index: n.Index, NameIndex: n.NameIndex, Number: n.Number, Role: n.Role, Name: n.Name, Salt: n.Salt, Host: n.Host, Dir: n.Dir, Folder: n.Folder,
		Bin: n.Bin, Ports: make([]template.Port, len(n.Listeners)),
	}
	for i, l := range n.Listeners {
		seen.Ports[i] = template.Port{Listener: l.Name, Host: l.Host, Port: l.Port, Scheme: l.Scheme, URL: l.URL}
	}
	return seen
}

// sharedListeners completes the shared listeners that the solver has placed.
func (x *expander) sharedListeners() error {
	for i := range x.p.Shared {
		placed := &x.p.Shared[i]
		for j := range x.t.Shared {
			if x.t.Shared[j].Name != placed.Name {
				continue
			}
			var err error
			if *placed, err = x.listener(&x.t.Shared[j], placed.Host, placed.Port); err != nil {
				return err
			}
		}
	}
	return nil
}
