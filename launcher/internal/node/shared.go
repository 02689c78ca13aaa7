package node

import (
	"sync"
	"time"
)

// shared makes an observation of the machine once for all who ask for it at the same time. mu guards next; it is not held
// while observing.
type shared[T any] struct {
	mu   sync.Mutex
	next *observation[T]
}

type observation[T any] struct {
	once  sync.Once
	value T
	err   error
}

// observationPause is how long an observation waits for others who want one, for every node of the cluster: the nodes of a
// large one start and end one shortly after another.
const observationPause = 50 * time.Microsecond

// observe returns what was found by an observation that began after the call did, and a pause later, so that more who ask
// can share it. Nobody may change what it returns.
func (s *shared[T]) observe(pause time.Duration, do func() (T, error)) (T, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &observation[T]{}
	}
	o := s.next
	s.mu.Unlock()
	o.once.Do(func() {
		<-time.After(pause)
		s.mu.Lock()
		if s.next == o {
			s.next = nil // who asks from here on wants a later observation
		}
		s.mu.Unlock()
		o.value, o.err = do()
	})
	return o.value, o.err
}
