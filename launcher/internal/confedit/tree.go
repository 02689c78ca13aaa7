package confedit

import (
	"strconv"
	"strings"
)

// kind says what a value is.
type kind uint8

const (
	kindString kind = iota // quoted, or bare in a format that allows it
	kindNumber
	kindBool
	kindNull  // nothing, or the format's word for nothing
	kindOther // a date, a reference, an alias: text that can be replaced, and not much more
	kindArray
	kindTable
)

// String is the kind as Entry names it.
func (k kind) String() string {
	return [...]string{"string", "number", "bool", "null", "other", "array", "table"}[k]
}

// origin says how a table came to be, where the format has several ways.
type origin uint8

const (
	originImplied origin = iota // only named on the way to another table
	originHeader                // has lines of its own: the root, a section, a block
	originDotted                // made by dotted keys inside another table's lines
	originInline                // written in brackets
)

// node is a value of a file: where it stands and what it says.
type node struct {
	kind     kind
	from, to int    // of the value's own text; from == to where it has none
	text     string // of a scalar, unquoted
	quote    string // what a string stands between; "" when it is bare
	lead     string // what must be put before the first text of a value that has none
	tail     string // and after it
	drop     int    // and how many bytes go for it
	spread   bool   // a table whose text is not in one piece, and so can't be replaced

	ref      *reference // of a value that is read from elsewhere
	spans    []span     // what to cut to remove the member from the file: a span for each time that it stands there
	includes []include  // of a table, in the order of the file

	names    []string // of children; nil in an array
	children []*node
	index    map[string]int

	origin  origin
	owner   *node // of an implied table: whose lines named it; of a dotted table: in whose lines it is
	last    int   // where the last member ends; 0 when there is none
	lastKey int   // where the last member's key starts
	keyEnd  int   // where the last member's key ends, in a format of lines; 0 when there is none
	comma   int   // where a separator after the last member stands; 0 when there is none
	indent  int   // column of the members of a block by indentation
}

func newTable(from, to int) *node { return &node{kind: kindTable, from: from, to: to} }

func (n *node) scalar() bool { return n.kind != kindArray && n.kind != kindTable }

// span is a part of a file.
type span struct{ from, to int }

// put adds a member, whose text starts at from, or replaces the one of that name.
func (n *node) put(name string, child *node, from int) {
	child.spans = append(child.spans, span{from, child.to})
	n.replace(name, child)
}

// replace is put for a member whose spans are known already, or one that has none: a table that is only named.
func (n *node) replace(name string, child *node) {
	if i, ok := n.index[name]; ok {
		child.spans = append(n.children[i].allSpans(), child.spans...)
		n.children[i] = child
		return
	}
	if n.index == nil {
		n.index = make(map[string]int)
	}
	n.index[name] = len(n.children)
	n.names = append(n.names, name)
	n.children = append(n.children, child)
}

// repeat adds a member that may stand several times, and then is an element of an array.
func (n *node) repeat(name string, child *node) {
	switch old := n.child(name); {
	case old == nil:
		n.replace(name, child)
	case old.kind == kindArray && old.spread:
		old.children = append(old.children, child)
	default:
		n.children[n.index[name]] = &node{kind: kindArray, from: old.from, to: old.from, spread: true, children: []*node{old, child}}
	}
}

// allSpans are those of a node and of everything below it.
func (n *node) allSpans() []span {
	spans := n.spans
	for _, child := range n.children {
		spans = append(spans, child.allSpans()...)
	}
	return spans
}

// child returns the member of that name, or the element of that index; nil when there is none.
func (n *node) child(name string) *node {
	if i, ok := n.index[name]; ok {
		return n.children[i]
	}
	if n.kind == kindArray {
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.children) && strconv.Itoa(i) == name {
			return n.children[i]
		}
	}
	return nil
}

// childFold is child for formats that ignore case: an exact match is preferred.
func (n *node) childFold(name string) *node {
	if child := n.child(name); child != nil {
		return child
	}
	if n.kind != kindTable {
		return nil
	}
	for i, have := range n.names {
		if strings.EqualFold(have, name) {
			return n.children[i]
		}
	}
	return nil
}

func (n *node) nameOf(i int) string {
	if n.kind == kindArray {
		return strconv.Itoa(i)
	}
	return n.names[i]
}

func findExact(root *node, path []string) *node {
	for _, name := range path {
		if root = root.child(name); root == nil {
			return nil
		}
	}
	return root
}

func findFold(root *node, path []string) *node {
	for _, name := range path {
		if root = root.childFold(name); root == nil {
			return nil
		}
	}
	return root
}

// descend follows path as far as it goes and returns every node on the way, the root first.
func descend(root *node, path []string, child func(*node, string) *node) []*node {
	way := []*node{root}
	for _, name := range path {
		next := child(way[len(way)-1], name)
		if next == nil {
			break
		}
		way = append(way, next)
	}
	return way
}
