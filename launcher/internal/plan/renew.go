package plan

import (
	"iter"
	"reflect"
	"slices"

	"onemore/launcher/internal/confedit"
)

// Standing is the node as next says it, but for what stands on its disk and its process was started with: those are as they
// are, until Changed has been written.
func (n Node) Standing(next Node) Node {
	next.Edits, next.Joined, next.Files = n.Edits, n.Joined, n.Files
	next.Env, next.StartEnv, next.Command, next.Workdir, next.Given, next.Bin = n.Env, n.StartEnv, n.Command, n.Workdir, n.Given, n.Bin
	next.User, next.Bootstrap = n.User, n.Bootstrap
	return next
}

// Changed is what has to be written to turn a node that was made as n into one as next says: the files whose text is
// another one, and the edits that n does not have. Edits that only n has can't be taken back; their keys stay. Files for which
// what exists in the source counts (Existing) are left as they are.
func (n Node) Changed(next Node) (files []File, edits []FileEdit) {
	for _, f := range next.Files {
		if f.Existing == "" && !slices.Contains(n.Files, f) {
			files = append(files, f)
		}
	}
	return files, changedEdits(slices.Concat(n.Edits, n.Joined), slices.Concat(next.Edits, next.Joined))
}

// changedEdits are the edits of next that had lacks.
func changedEdits(had, next []FileEdit) []FileEdit {
	var out []FileEdit
	for _, e := range next {
		one := e
		one.Edits = nil
		for _, edit := range e.Edits {
			known := slices.ContainsFunc(had, func(h FileEdit) bool { return h.File == e.File && slices.Contains(h.Edits, edit) })
			if !known {
				one.Edits = append(one.Edits, edit)
			}
		}
		if slices.ContainsFunc(one.Edits, func(edit confedit.Edit) bool { return edit.Unset }) {
			one.Edits = e.Edits // what is set besides must not be taken out
		}
		if len(one.Edits) > 0 {
			out = append(out, one)
		}
	}
	return out
}

// Standing is the plan as next says it, with what stands on the disks of those nodes that p has too, and what they were
// started with.
func (p *Plan) Standing(next *Plan) *Plan {
	out := *next
	out.Nodes = slices.Clone(next.Nodes)
	for i := range out.Nodes {
		at := slices.IndexFunc(p.Nodes, func(n Node) bool { return n.Index == out.Nodes[i].Index })
		if at >= 0 {
			out.Nodes[i] = p.Nodes[at].Standing(out.Nodes[i])
		}
	}
	return &out
}

// RefreshedByRestart reports whether only a restart makes the running node take in who is a member.
func (n Node) RefreshedByRestart() bool {
	return slices.ContainsFunc(n.Refresh, func(r Refresh) bool { return r.Restart })
}

// Same reports whether nothing of two nodes differs.
func (n Node) Same(other Node) bool { return reflect.DeepEqual(n, other) }

// Without is the plan without some of its nodes.
func (p *Plan) Without(indices []int) *Plan {
	out := *p
	out.Nodes = slices.DeleteFunc(slices.Clone(p.Nodes), func(n Node) bool { return slices.Contains(indices, n.Index) })
	return &out
}

// Calls are all calls of the node.
func (n Node) Calls() iter.Seq[Call] {
	return func(yield func(Call) bool) {
		for _, list := range [...][]Call{n.Ready.Calls, n.Join, n.Form, n.Before, n.After, n.Leave, n.Drain, n.Members.Require} {
			for _, c := range list {
				if !yield(c) {
					return
				}
			}
		}
		for _, c := range [...]*Call{n.Staged, n.Members.Call} {
			if c != nil && !yield(*c) {
				return
			}
		}
		for _, r := range n.Refresh {
			if r.Call != nil && !yield(*r.Call) {
				return
			}
		}
	}
}
