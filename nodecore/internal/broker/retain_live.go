package broker

import "sync"

// liveOrder decides, of a retained message that comes while a client subscribes, whether the subscription gets it at once, as
// it comes, or with the retained messages afterwards: the one or the other, and never both. Deliveries of messages that
// become retained are numbered, and a subscription notes the last number before it.
type liveOrder struct {
	mu   sync.Mutex // taken before routing.mu and retainedMessages.mu; held from the change to the choice of its receivers
	last uint64
}

// beginLive makes a message that is being delivered the retained one of its topic if it is the last change, and reports whether
// it is. The caller chooses the receivers then, and calls endLive.
func (re *retainedMessages) beginLive(m *message, at stamp) (news bool) {
	re.order.mu.Lock()
	re.order.last++
	return re.mergeAt(m.topic, at, m, re.order.last)
}

// publishLive is beginLive for a message that this node takes in now; it returns when that is.
func (re *retainedMessages) publishLive(m *message) (at stamp) {
	re.order.mu.Lock()
	re.order.last++
	at = re.b.clock.now()
	re.mergeAt(m.topic, at, m, re.order.last)
	return at
}

func (re *retainedMessages) endLive() { re.order.mu.Unlock() }

// subscribe adds a subscription by calling add, and returns the number after which it gets what is delivered.
func (re *retainedMessages) subscribe(add func()) (since uint64) {
	re.order.mu.Lock()
	defer re.order.mu.Unlock()
	add()
	return re.order.last
}
