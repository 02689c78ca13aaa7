package topic

import "strings"

// Tree maps (filter, key) to a value and finds all whose filter matches a name. The zero value is empty.
// It is not safe for concurrent use, except that any number of Match may run at once.
type Tree[K comparable, V any] struct {
	root node[K, V]
	size int
}

type node[K comparable, V any] struct {
	next  map[string]*node[K, V]
	here  []entry[K, V] // a slice: matching walks it far more often than it changes
	index map[K]int     // made when here grows long, so that changes stay cheap as well
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
	n := &t.root
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		child := n.next[level]
		if child == nil {
			if n.next == nil {
				n.next = map[string]*node[K, V]{}
			}
			child = &node[K, V]{}
			n.next[strings.Clone(level)] = child
		}
		n = child
	}
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
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if n = n.next[level]; n == nil {
			return val, false
		}
	}
	if i := n.find(key); i >= 0 {
		return n.here[i].val, true
	}
	return val, false
}

// Delete removes the entry of key at a filter.
func (t *Tree[K, V]) Delete(filter string, key K) (deleted bool) {
	if !t.root.delete(filter, key) {
		return false
	}
	t.size--
	return true
}

func (n *node[K, V]) delete(filter string, key K) bool {
	level, rest, more := strings.Cut(filter, "/")
	child := n.next[level]
	if child == nil {
		return false
	}
	if more {
		if !child.delete(rest, key) {
			return false
		}
	} else if !child.remove(key) {
		return false
	}
	if len(child.here) == 0 && len(child.next) == 0 {
		delete(n.next, level)
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
	level, rest, more := strings.Cut(rest, "/")
	if child := n.next[level]; child != nil && level != "+" && level != "#" {
		child.arrive(rest, more, each)
	}
	if literal {
		return
	}
	if child := n.next["+"]; child != nil {
		child.arrive(rest, more, each)
	}
	if child := n.next["#"]; child != nil {
		child.all(each)
	}
}

func (n *node[K, V]) arrive(rest string, more bool, each func(K, V)) {
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
