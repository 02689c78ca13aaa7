// Package ring holds a queue that reuses its memory. It knows nothing of what is queued.
//
// Start at Queue.
package ring

// keep is the capacity from which on an empty queue gives its memory back.
const keep = 256

// Queue is a first-in first-out queue. The zero value is empty. It is not safe for concurrent use.
type Queue[T any] struct {
	buf     []T // its length is a power of two
	head, n int
}

// Len returns the number of items.
func (q *Queue[T]) Len() int { return q.n }

// At returns the item that is i places from the head; it stays valid until the queue is changed.
func (q *Queue[T]) At(i int) *T {
	if i < 0 || i >= q.n {
		panic("ring: no such item")
	}
	return &q.buf[(q.head+i)&(len(q.buf)-1)]
}

// Push adds an item at the end.
func (q *Queue[T]) Push(v T) {
	q.room()
	q.buf[(q.head+q.n)&(len(q.buf)-1)] = v
	q.n++
}

// PushFront adds an item at the head.
func (q *Queue[T]) PushFront(v T) {
	q.room()
	q.head = (q.head - 1) & (len(q.buf) - 1)
	q.buf[q.head] = v
	q.n++
}

func (q *Queue[T]) room() {
	if q.n < len(q.buf) {
		return
	}
	buf := make([]T, max(4, 2*len(q.buf)))
	for i := range q.n {
		buf[i] = *q.At(i)
	}
	q.buf, q.head = buf, 0
}

// Pop removes the head and returns it. The queue must not be empty.
func (q *Queue[T]) Pop() T {
	p := q.At(0)
	v := *p
	var zero T
	*p = zero
	q.head = (q.head + 1) & (len(q.buf) - 1)
	if q.n--; q.n == 0 && len(q.buf) >= keep {
		q.Clear()
	}
	return v
}

// Remove removes the item that is i places from the head.
func (q *Queue[T]) Remove(i int) {
	for ; i > 0; i-- {
		*q.At(i) = *q.At(i - 1)
	}
	q.Pop()
}

// All calls each for all items in order, until it returns false.
func (q *Queue[T]) All(each func(*T) bool) {
	for i := range q.n {
		if !each(q.At(i)) {
			return
		}
	}
}

// Clear removes all items, and gives the memory back.
func (q *Queue[T]) Clear() { *q = Queue[T]{} }
