package template

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	texttemplate "text/template"
	"text/template/parse"
)

// Stacked is what texts see of another cluster of their stack: {{(stack "NAME").URLs "client"}}.
type Stacked struct {
	Nodes []*Node
}

// Addrs are the addresses of one listener of all nodes, HOST:PORT, comma separated.
func (s *Stacked) Addrs(listener string) (string, error) {
	return s.join(listener, func(p Port) string { return p.addr() })
}

// URLs are what clients use for one listener of all nodes, comma separated.
func (s *Stacked) URLs(listener string) (string, error) {
	return s.join(listener, func(p Port) string { return p.URL })
}

// First is the first of the nodes.
func (s *Stacked) First() (*Node, error) {
	if len(s.Nodes) == 0 {
		return nil, fmt.Errorf("the cluster has no nodes")
	}
	return s.Nodes[0], nil
}

func (s *Stacked) join(listener string, of func(Port) string) (string, error) {
	var out []string
	for _, n := range s.Nodes {
		p, err := n.find(listener)
		if err != nil {
			return "", err
		}
		out = append(out, of(p))
	}
	return strings.Join(out, ","), nil
}

// Stack is a cluster that this one needs; {{stack "NAME"}} is short for it.
func (d *Data) Stack(name string) (*Stacked, error) { return stacked(d.Needed, name) }

// stacked finds a cluster by its name in the stack. A sample has every one.
func stacked(needed map[string]*Stacked, name string) (*Stacked, error) {
	if s := cmp.Or(needed[name], needed[anyName]); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("it reads cluster %q of a stack, and needs %s: write needs = [%q] in the project file", name,
		oneOf(slices.Sorted(maps.Keys(needed))), name)
}

// anyName is the name under which samples have each cluster of a stack, and each of its listeners.
const anyName = "*"

// sampleStacked is a made-up cluster of a stack. What listeners it has is not known before there is one.
func sampleStacked() map[string]*Stacked {
	var s Stacked
	for i := 1; i <= 3; i++ {
		n := &Node{Index: i, NameIndex: i, Number: i, Name: fmt.Sprintf("other%d@127.0.0.1", i), Host: "127.0.0.1", Dir: "/other/" + strconv.Itoa(i),
			Ports: []Port{{Listener: anyName, Host: "127.0.0.1", Port: 5000 + i, Scheme: "tcp", URL: fmt.Sprintf("tcp://127.0.0.1:%d", 5000+i)}}}
		s.Nodes = append(s.Nodes, n)
	}
	return map[string]*Stacked{anyName: &s}
}

// StackData is what a text for the users of a stack sees: nothing but its clusters.
type StackData struct{ Needed map[string]*Stacked }

// Stack is a cluster of the stack.
func (d *StackData) Stack(name string) (*Stacked, error) {
	if s := cmp.Or(d.Needed[name], d.Needed[anyName]); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("the stack has no cluster %q; it has %s", name, oneOf(slices.Sorted(maps.Keys(d.Needed))))
}

// ExpandForStack expands a text for the users of a stack.
func ExpandForStack(src string, clusters map[string]*Stacked) (string, error) {
	if !isText(src) {
		return src, nil
	}
	one, err := newTexts().add(src)
	if err != nil {
		return "", fmt.Errorf("%q: %w", src, err)
	}
	var b strings.Builder
	if err := one.parsed.Execute(&b, &StackData{Needed: clusters}); err != nil {
		return "", fmt.Errorf("expand %q: %w", src, plainError(err))
	}
	return b.String(), nil
}

// CheckForStack says why a text can't be one for the users of a stack of clusters with these names.
func CheckForStack(src string, names []string) error {
	clusters := map[string]*Stacked{}
	for _, name := range names {
		clusters[name] = sampleStacked()[anyName]
	}
	_, err := ExpandForStack(src, clusters)
	return err
}

// stackFunction is the name by which texts read other clusters of their stack, in place of $.Stack.
const stackFunction = "stack"

// readStack turns each call of stack in a parsed text into one of $.Stack, so that it works where dot is something else.
func readStack(parsed *texttemplate.Template) (found bool) {
	for _, t := range parsed.Templates() {
		if t.Tree != nil && t.Name() == parsed.Name() {
			walkPipes(t.Root, func(p *parse.PipeNode) {
				for _, c := range p.Cmds {
					if id, ok := c.Args[0].(*parse.IdentifierNode); ok && id.Ident == stackFunction {
						c.Args[0] = &parse.VariableNode{NodeType: parse.NodeVariable, Pos: id.Pos, Ident: []string{"$", "Stack"}}
						found = true
					}
				}
			})
		}
	}
	return found
}

// walkPipes calls visit for every pipeline below a node.
func walkPipes(node parse.Node, visit func(*parse.PipeNode)) {
	branch := func(pipe *parse.PipeNode, list, other *parse.ListNode) {
		walkPipes(pipe, visit)
		walkPipes(list, visit)
		walkPipes(other, visit)
	}
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			walkPipes(child, visit)
		}
	case *parse.ActionNode:
		walkPipes(n.Pipe, visit)
	case *parse.IfNode:
		branch(n.Pipe, n.List, n.ElseList)
	case *parse.RangeNode:
		branch(n.Pipe, n.List, n.ElseList)
	case *parse.WithNode:
		branch(n.Pipe, n.List, n.ElseList)
	case *parse.ChainNode:
		walkPipes(n.Node, visit)
	case *parse.PipeNode:
		if n == nil {
			return
		}
		visit(n)
		for _, c := range n.Cmds {
			for _, arg := range c.Args {
				walkPipes(arg, visit)
			}
		}
	}
}
