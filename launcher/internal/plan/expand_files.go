package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"onemore/launcher/internal/confedit"
	"onemore/launcher/internal/template"
)

// configFiles is what an expander makes of a node's files; from is what those of its source say.
type configFiles struct {
	*expander
	from *template.Config
}

func (x *expander) config(index int) configFiles { return configFiles{x, x.o.configOf(index)} }

// allEdits are the edits of a node's files: those of the template, of its listeners and places, and of the way to join.
func (x configFiles) allEdits(n *Node, d *template.Data, method []template.Edit) ([]FileEdit, error) {
	out, err := x.edits(d, x.t.Edits, method)
	if err != nil {
		return nil, err
	}
	listeners, err := x.listenerEdits(n)
	if err != nil {
		return nil, err
	}
	places, err := x.placeEdits(d)
	if err != nil {
		return nil, err
	}
	for _, one := range slices.Concat(listeners, places) {
		out = appendEdits(out, one)
	}
	return x.elsewhere(out), nil
}

// elsewhere makes the edits where the source has their keys: in a file that it includes, or at a variable.
func (x configFiles) elsewhere(list []FileEdit) []FileEdit {
	if len(x.from.Elsewhere) == 0 {
		return list
	}
	var out []FileEdit
	for _, of := range list {
		for _, e := range of.Edits {
			one := of
			if e.Unset {
				for _, at := range x.from.Matching(of.File, e.Key) {
					out = appendEdits(out, FileEdit{File: at.ToFile, Format: of.Format, Edits: []confedit.Edit{{Key: at.ToKey, Unset: true}}})
				}
			}
			if at, ok := x.from.Find(of.File, e.Key); ok {
				if e.Default && !at.Missing {
					continue
				}
				e.Key, one.File = at.ToKey, at.ToFile
			}
			one.Edits = []confedit.Edit{e}
			out = appendEdits(out, one)
		}
	}
	return out
}

// appendEdits adds edits of a file, to those of the same file where they follow them.
func appendEdits(list []FileEdit, e FileEdit) []FileEdit {
	if last := len(list) - 1; last >= 0 && list[last].File == e.File && list[last].Format == e.Format && list[last].IfExists == e.IfExists {
		list[last].Edits = append(list[last].Edits, e.Edits...)
		return list
	}
	return append(list, e)
}

// listenerEdits write the ports of listeners where the config has them.
func (x configFiles) listenerEdits(n *Node) ([]FileEdit, error) {
	var out []FileEdit
	for i := range n.Listeners {
		at := &n.Listeners[i]
		k := slices.IndexFunc(x.t.Listeners, func(l template.Listener) bool { return l.Name == at.Name })
		l := &x.t.Listeners[k]
		if l.Value == "" || at.Derived {
			continue
		}
		value, err := x.t.Expand(l.Value, x.urlData(at))
		if err != nil {
			return nil, fmt.Errorf("listener %q: %w", l.Name, err)
		}
		key := l.Key
		if declared := x.from.Listeners[l.Name].Key; declared != "" {
			key = declared
		}
		out = append(out, FileEdit{File: l.File, Format: x.t.FormatOf(l.File), Edits: []confedit.Edit{{Key: key, Value: value}}, IfExists: x.t.MayLack(l.File)})
	}
	return out, nil
}

// placeEdits move places that the source has elsewhere into the node's directory.
func (x configFiles) placeEdits(d *template.Data) ([]FileEdit, error) {
	var out []FileEdit
	for i := range x.t.Places {
		p := &x.t.Places[i]
		if on, err := isTrue(x.t, p.When, x.o.whenData(d.Index, d.Role)); err != nil || !on {
			if err != nil {
				return nil, fmt.Errorf("place %q: %w", p.Name, err)
			}
			continue
		}
		where, err := x.text(p.Path, d)
		if err != nil {
			return nil, fmt.Errorf("place %q: %w", p.Name, err)
		}
		for _, key := range x.placeKeys(p) {
			value := strings.Replace(where, "*", path.Base(key.Value), 1)
			if key.Inside != "" {
				value = path.Join(d.Dir, key.Inside)
			}
			out = append(out, FileEdit{File: p.File, Format: x.t.FormatOf(p.File), Edits: []confedit.Edit{{Key: key.Key, Value: value}}, IfExists: x.t.MayLack(p.File)})
		}
	}
	return out, nil
}

// placeKeys are the keys of a place that have to be written.
func (x configFiles) placeKeys(p *template.Place) []template.ConfigPlace {
	var keys []template.ConfigPlace
	found := false
	for _, c := range x.from.Places {
		if c.Place != p.Name {
			continue
		}
		found = true
		if p.Write == "always" && c.Inside == "" || leadsOut(c.Value) {
			keys = append(keys, c)
		}
	}
	if !found && p.Write != "outside" {
		keys = append(keys, template.ConfigPlace{Place: p.Name, Key: p.Key})
	}
	return keys
}

// leadsOut reports whether a path is not in the directory that it is relative to.
func leadsOut(name string) bool {
	clean := path.Clean(name)
	return path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../")
}

// placeNotes say what of the source's own places is in the nodes' directories instead.
func (x configFiles) placeNotes() ([]string, error) {
	var notes []string
	for i := range x.t.Places {
		p := &x.t.Places[i]
		somewhere := false
		for _, n := range x.added {
			on, err := isTrue(x.t, p.When, x.o.whenData(n.Index, n.Role))
			if err != nil {
				return nil, fmt.Errorf("place %q: %w", p.Name, err)
			}
			somewhere = somewhere || on
		}
		for _, key := range x.placeKeys(p) {
			if somewhere && leadsOut(key.Value) {
				notes = append(notes, fmt.Sprintf("%s of the source has %s = %s; each node has its own in its directory instead", p.File, strings.ReplaceAll(key.Key, `"`, ""), key.Value))
			}
		}
	}
	return notes, nil
}

// edits expands edits, those of one file that follow each other as one.
func (x configFiles) edits(d *template.Data, lists ...[]template.Edit) ([]FileEdit, error) {
	var out []FileEdit
	for i := range lists {
		for j := range lists[i] {
			e := &lists[i][j]
			if on, err := x.isOn(e.When, d); err != nil || !on {
				if err != nil {
					return nil, err
				}
				continue
			}
			list, err := x.values(e, d)
			if err != nil {
				return nil, err
			}
			out = appendEdits(out, FileEdit{File: e.File, Format: e.Format, Edits: list, IfExists: e.IfExists})
		}
	}
	return out, nil
}

func (x configFiles) values(e *template.Edit, d *template.Data) ([]confedit.Edit, error) {
	list := make([]confedit.Edit, 0, len(e.Set)+len(e.Raw)+len(e.Present)+len(e.Default))
	for _, part := range []struct {
		values map[string]string
		as     confedit.Edit
	}{{e.Set, confedit.Edit{}}, {e.Raw, confedit.Edit{Raw: true}}, {e.Present, confedit.Edit{Present: true}}, {e.Default, confedit.Edit{Default: true}}} {
		for key, src := range part.values {
			value, err := x.text(src, d)
			if err != nil {
				return nil, err
			}
			one := part.as
			one.Key, one.Value = key, value
			list = append(list, one)
		}
	}
	for _, pattern := range e.Unset {
		list = append(list, confedit.Edit{Key: pattern, Unset: true})
	}
	slices.SortFunc(list, func(a, b confedit.Edit) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return list, nil
}

// files are the template's own, for a node that has no source, those that it writes into every node, and what people
// lay over both.
func (x configFiles) files(n *Node, d *template.Data) ([]File, error) {
	var out []File
	if n.Source == "" {
		for _, f := range x.t.Own {
			mode, err := f.Perm()
			if err != nil {
				return nil, err
			}
			out = append(out, File{Path: f.Path, Text: f.Text, Mode: mode})
		}
	}
	written, err := x.templateFiles(d)
	if err != nil {
		return nil, err
	}
	return slices.Concat(out, written, x.o.Files, x.o.Node[n.Index].Files), nil
}

// templateFiles are the files that the template writes into every node.
func (x configFiles) templateFiles(d *template.Data) ([]File, error) {
	var out []File
	for _, f := range x.t.Files {
		mode, err := f.Perm()
		if err != nil {
			return nil, err
		}
		if on, err := x.isOn(f.When, d); err != nil {
			return nil, err
		} else if !on {
			continue
		}
		text, err := x.text(f.Text, d)
		if err != nil {
			return nil, err
		}
		one := File{Path: f.Path, Text: text, Mode: mode}
		if f.Existing != "replace" {
			one.Existing = f.Existing
		}
		if f.Existing == "merge" {
			one.Format = f.Format
		}
		out = append(out, one)
	}
	return out, nil
}

// Over is the file's text where the source has the file too, with such content.
func (f File) Over(present []byte) ([]byte, error) {
	switch f.Existing {
	case "keep":
		return present, nil
	case "merge":
		list, err := confedit.List(f.Format, []byte(f.Text))
		if err != nil {
			return nil, fmt.Errorf("merge %s: %w", f.Path, err)
		}
		edits := make([]confedit.Edit, 0, len(list))
		for _, e := range list {
			edits = append(edits, confedit.Edit{Key: e.Key, Value: e.Value, Default: true})
		}
		out, err := confedit.Apply(f.Format, present, edits)
		if err != nil {
			return nil, fmt.Errorf("merge %s: %w", f.Path, err)
		}
		return out, nil
	}
	return []byte(f.Text), nil
}

// Edited is the text of one of the node's files with the plan's edits of it.
func (n *Node) Edited(path string, text []byte) ([]byte, error) {
	for _, e := range n.Edits {
		if e.File != path {
			continue
		}
		var err error
		if text, err = confedit.Apply(e.Format, text, e.Edits); err != nil {
			return nil, fmt.Errorf("edit %s: %w", path, err)
		}
	}
	return text, nil
}
