package template

import "text/template/parse"

// reference is one place of a text where a name of the data is read.
type reference struct {
	root bool     // read of the text's own data, not of what a range or with has put in its place
	path []string // Peer, Name
	args []argument
}

// argument is one that a name is called with; the listener of Port "http" is a literal.
type argument struct {
	text    string
	literal bool
}

// arg is the first argument where it is a literal, else "".
func (r reference) arg() string {
	if len(r.args) == 0 {
		return ""
	}
	return r.args[0].text
}

// references calls visit for every name that is read in a parsed text. It knows where dot stands for something else.
func references(node parse.Node, dotIsRoot bool, visit func(reference)) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			references(child, dotIsRoot, visit)
		}
	case *parse.ActionNode:
		references(n.Pipe, dotIsRoot, visit)
	case *parse.IfNode:
		references(n.Pipe, dotIsRoot, visit)
		references(n.List, dotIsRoot, visit)
		references(n.ElseList, dotIsRoot, visit)
	case *parse.RangeNode:
		references(n.Pipe, dotIsRoot, visit)
		references(n.List, false, visit)
		references(n.ElseList, dotIsRoot, visit)
	case *parse.WithNode:
		references(n.Pipe, dotIsRoot, visit)
		references(n.List, false, visit)
		references(n.ElseList, dotIsRoot, visit)
	case *parse.PipeNode:
		if n == nil {
			return
		}
		for _, command := range n.Cmds {
			referencesInCommand(command, dotIsRoot, visit)
		}
	}
}

func referencesInCommand(c *parse.CommandNode, dotIsRoot bool, visit func(reference)) {
	var args []argument
	for _, arg := range c.Args[1:] {
		one := argument{}
		if s, ok := arg.(*parse.StringNode); ok {
			one = argument{s.Text, true}
		}
		args = append(args, one)
	}
	for i, arg := range c.Args {
		first := args
		if i > 0 {
			first = nil
		}
		switch n := arg.(type) {
		case *parse.FieldNode:
			visit(reference{dotIsRoot, n.Ident, first})
		case *parse.VariableNode:
			if len(n.Ident) > 1 {
				visit(reference{n.Ident[0] == "$", n.Ident[1:], first})
			} else if n.Ident[0] == "$" {
				visit(reference{true, nil, nil})
			}
		case *parse.DotNode:
			visit(reference{dotIsRoot, nil, nil})
		case *parse.ChainNode:
			references(n.Node, dotIsRoot, visit)
			visit(reference{false, n.Field, first})
		case *parse.PipeNode:
			references(n, dotIsRoot, visit)
		}
	}
}

func rootNames(root *parse.ListNode) map[string]bool {
	names := make(map[string]bool)
	references(root, true, func(m reference) {
		switch {
		case !m.root:
		case len(m.path) == 0:
			names["."] = true
		default:
			names[m.path[0]] = true
		}
	})
	return names
}
