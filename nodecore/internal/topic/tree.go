package topic

import "strings"

// Tree maps (filter, key) to a value and finds all whose filter matches a name. The zero value is empty.
// It is not safe for concurrent use, except that any number of Match may run at once.
type Tree[K comparable, V any] struct {
	root node[K, V]
	size int
}

// node is where filters part or end. What lies between two nodes is one label, so that a filter costs about what its text does,
// however many levels it has.
type node[K comparable, V any] struct {
	label string                 // the levels from the node above to this one
	next  map[string]*node[K, V] // by the first level of their labels
	here  []entry[K, V]          // a slice: matching walks it far more often than it changes
	index map[K]int              // made when here grows long, so that changes stay cheap as well
}

type entry[K comparable, V any] struct {
	key K
	val V
}

// indexFrom is how many entries a filter has before they are indexed by key.
const indexFrom = 16

// Len returns the number of entries.
func (t *Tree[K, V]) Len() int { return t.size }

// Set adds or replaces the value of key at a filter; added is false if there was one.
func (t *Tree[K, V]) Set(filter string, key K, val V) (added bool) {
	n := t.root.grow(filter)
	if i := n.find(key); i >= 0 {
		n.here[i].val = val
		return false
	}
	n.here = append(n.here, entry[K, V]{key, val})
	switch {
	case n.index != nil:
		n.index[key] = len(n.here) - 1
	case len(n.here) == indexFrom:
		n.index = make(map[K]int, 2*indexFrom)
		for i, e := range n.here {
			n.index[e.key] = i
		}
	}
	t.size++
	return true
}

// Get returns the value of key at a filter.
func (t *Tree[K, V]) Get(filter string, key K) (val V, ok bool) {
	n := &t.root
	for rest, more := filter, true; more; {
		n = n.next[first(rest)]
		if n == nil {
			return val, false
		}
		if rest, more, ok = n.follow(rest); !ok {
			return val, false
		}
	}
	if i := n.find(key); i >= 0 {
		return n.here[i].val, true
	}
	return val, false
}

// Delete removes the value of key at a filter; it is false if there was none.
func (t *Tree[K, V]) Delete(filter string, key K) bool {
	if !t.root.delete(filter, key) {
		return false
	}
	t.size--
	return true
}

// first is the first level of what is left of a filter or name.
func first(rest string) string {
	level, _, _ := strings.Cut(rest, "/")
	return level
}

// common is how long the levels are that a and b begin with, of which the first is the same.
func common(a, b string) (n int) {
	i := 0
	for ; i < len(a) && i < len(b) && a[i] == b[i]; i++ {
		if a[i] == '/' {
			n = i
		}
	}
	if (i == len(a) || a[i] == '/') && (i == len(b) || b[i] == '/') {
		return i
	}
	return n
}

// follow takes the node's label off a filter; ok is false if the filter goes elsewhere.
func (n *node[K, V]) follow(filter string) (rest string, more, ok bool) {
	rest, ok = strings.CutPrefix(filter, n.label)
	if !ok || rest == "" {
		return "", false, ok
	}
	rest, ok = strings.CutPrefix(rest, "/")
	return rest, true, ok
}

// grow returns the node of a filter below n, and makes it if need be.
func (n *node[K, V]) grow(filter string) *node[K, V] {
	child := n.next[first(filter)]
	if child == nil {
		child = &node[K, V]{label: strings.Clone(filter)}
		n.link(child)
		return child
	}
	if k := common(child.label, filter); k < len(child.label) {
		above := &node[K, V]{label: strings.Clone(child.label[:k])}
		child.label = strings.Clone(child.label[k+1:])
		above.link(child)
		n.link(above)
		child = above
	}
	rest, more, _ := child.follow(filter)
	if !more {
		return child
	}
	return child.grow(rest)
}

func (n *node[K, V]) link(child *node[K, V]) {
	if n.next == nil {
		n.next = map[string]*node[K, V]{}
	}
	n.next[first(child.label)] = child
}

func (n *node[K, V]) delete(filter string, key K) bool {
	child := n.next[first(filter)]
	if child == nil {
		return false
	}
	rest, more, ok := child.follow(filter)
	switch {
	case !ok, more && !child.delete(rest, key), !more && !child.remove(key):
		return false
	case len(child.here) > 0:
	case len(child.next) == 0:
		delete(n.next, first(filter))
	case len(child.next) == 1:
		for _, only := range child.next {
			only.label = child.label + "/" + only.label
			n.link(only)
		}
	}
	return true
}

func (n *node[K, V]) find(key K) int {
	if n.index != nil {
		if i, ok := n.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range n.here {
		if n.here[i].key == key {
			return i
		}
	}
	return -1
}

func (n *node[K, V]) remove(key K) bool {
	i := n.find(key)
	if i < 0 {
		return false
	}
	last := len(n.here) - 1
	n.here[i] = n.here[last]
	n.here[last] = entry[K, V]{}
	n.here = n.here[:last]
	if n.index != nil {
		delete(n.index, key)
		if i < last {
			n.index[n.here[i].key] = i
		}
	}
	return true
}

// Match calls each for every entry whose filter matches the name. A key that matches by several filters comes
// several times.
func (t *Tree[K, V]) Match(name string, each func(K, V)) {
	t.root.match(name, name != "" && name[0] == '$', each)
}

// match looks below n for what is left of the name; literal holds for the first level of a name that starts with $, which
// wildcards don't match.
func (n *node[K, V]) match(rest string, literal bool, each func(K, V)) {
	if n.next == nil {
		return
	}
	level := first(rest)
	if child := n.next[level]; child != nil && level != "+" && level != "#" {
		child.arrive(rest, each)
	}
	if literal {
		return
	}
	if child := n.next["+"]; child != nil {
		child.arrive(rest, each)
	}
	if child := n.next["#"]; child != nil {
		child.all(each)
	}
}

// arrive goes along the node's label with what is left of the name.
func (n *node[K, V]) arrive(name string, each func(K, V)) {
	if rest, more, ok := n.follow(name); ok {
		n.leave(rest, more, each)
		return
	}
	for label := n.label; ; {
		l, below, goesOn := strings.Cut(label, "/")
		level, rest, more := strings.Cut(name, "/")
		switch {
		case l == "#", goesOn && !more && below == "#" && (l == "+" || l == level): // "a/#" matches "a" too
			n.all(each)
			return
		case l != "+" && l != level, goesOn && !more:
			return
		case !goesOn:
			n.leave(rest, more, each)
			return
		}
		label, name = below, rest
	}
}

// leave goes on from the end of the node's label.
func (n *node[K, V]) leave(rest string, more bool, each func(K, V)) {
	if more {
		n.match(rest, false, each)
		return
	}
	n.all(each)
	if child := n.next["#"]; child != nil { // "a/#" matches "a" too
		child.all(each)
	}
}

func (n *node[K, V]) all(each func(K, V)) {
	for i := range n.here {
		each(n.here[i].key, n.here[i].val)
	}
}
