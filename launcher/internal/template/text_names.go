package template

import "text/template/parse"

// mention is one place of a text where a name of the data is read.
type mention struct {
	root bool     // read of the text's own data, not of what a range or with has put in its place
	path []string // Peer, Name
	arg  string   // the first argument where it is a literal: the listener of Port "http"
}

// mentions calls visit for every name that is read in a parsed text. It knows where dot stands for something else.
func mentions(node parse.Node, dotIsRoot bool, visit func(mention)) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			mentions(child, dotIsRoot, visit)
		}
	case *parse.ActionNode:
		mentions(n.Pipe, dotIsRoot, visit)
	case *parse.IfNode:
		mentions(n.Pipe, dotIsRoot, visit)
		mentions(n.List, dotIsRoot, visit)
		mentions(n.ElseList, dotIsRoot, visit)
	case *parse.RangeNode:
		mentions(n.Pipe, dotIsRoot, visit)
		mentions(n.List, false, visit)
		mentions(n.ElseList, dotIsRoot, visit)
	case *parse.WithNode:
		mentions(n.Pipe, dotIsRoot, visit)
		mentions(n.List, false, visit)
		mentions(n.ElseList, dotIsRoot, visit)
	case *parse.PipeNode:
		if n == nil {
			return
		}
		for _, command := range n.Cmds {
			mentionsInCommand(command, dotIsRoot, visit)
		}
	}
}

func mentionsInCommand(c *parse.CommandNode, dotIsRoot bool, visit func(mention)) {
	literal := ""
	if len(c.Args) > 1 {
		if s, ok := c.Args[1].(*parse.StringNode); ok {
			literal = s.Text
		}
	}
	for i, arg := range c.Args {
		first := literal
		if i > 0 {
			first = ""
		}
		switch n := arg.(type) {
		case *parse.FieldNode:
			visit(mention{dotIsRoot, n.Ident, first})
		case *parse.VariableNode:
			if len(n.Ident) > 1 {
				visit(mention{n.Ident[0] == "$", n.Ident[1:], first})
			} else if n.Ident[0] == "$" {
				visit(mention{true, nil, ""})
			}
		case *parse.DotNode:
			visit(mention{dotIsRoot, nil, ""})
		case *parse.ChainNode:
			mentions(n.Node, dotIsRoot, visit)
			visit(mention{false, n.Field, first})
		case *parse.PipeNode:
			mentions(n, dotIsRoot, visit)
		}
	}
}

func rootNames(root *parse.ListNode) map[string]bool {
	names := make(map[string]bool)
	mentions(root, true, func(m mention) {
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
