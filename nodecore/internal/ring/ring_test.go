package ring

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A queue does what a slice does.
func TestQueueIsASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue[int]
		var want []int
		for i := range rapid.IntRange(0, 600).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 5:
				q.Push(i)
				want = append(want, i)
			case op == 5:
				q.PushFront(i)
				want = slices.Insert(want, 0, i)
			case op < 9 && len(want) > 0:
				if got := q.Pop(); got != want[0] {
					t.Fatalf("Pop() = %d, want %d", got, want[0])
				}
				want = want[1:]
			case op == 9 && len(want) > 0:
				k := rapid.IntRange(0, len(want)-1).Draw(t, "index")
				q.Remove(k)
				want = slices.Delete(slices.Clone(want), k, k+1)
			}
			var got []int
			q.All(func(p *int) bool { got = append(got, *p); return true })
			if !slices.Equal(got, want) || q.Len() != len(want) {
				t.Fatalf("queue is %v (%d), want %v", got, q.Len(), want)
			}
		}
	})
}

func TestMemoryIsGivenBack(t *testing.T) {
	var q Queue[int]
	for i := range 10 * keep {
		q.Push(i)
	}
	for q.Len() > 0 {
		q.Pop()
	}
	if len(q.buf) != 0 {
		t.Errorf("an empty queue holds %d places", len(q.buf))
	}
	q.Push(1)
	q.Pop()
	if len(q.buf) == 0 {
		t.Error("a small queue gives its memory back each time")
	}
}

func TestAtPanicsOutside(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	(&Queue[int]{}).At(0)
}
