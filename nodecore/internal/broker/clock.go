package broker

import (
	"cmp"
	"encoding/binary"
	"sync"
	"time"
)

// stamp orders changes over all nodes: by a clock that follows both time and what was seen from others, then by node.
type stamp struct {
	t    uint64 // milliseconds since 1970 in the high 48 bits, a counter in the low 16
	node string
}

func (s stamp) compare(o stamp) int {
	return cmp.Or(cmp.Compare(s.t, o.t), cmp.Compare(s.node, o.node))
}

func (s stamp) time() time.Time { return time.UnixMilli(int64(s.t >> 16)) }

func (s stamp) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, s.t)
	return appendString(b, s.node)
}

func (r *reader) stamp() stamp { return stamp{r.uint64(), r.string()} }

// clock makes stamps, each greater than all that it has made or seen.
type clock struct {
	node string

	mu   sync.Mutex
	last uint64
}

func (c *clock) now() stamp {
	t := uint64(time.Now().UnixMilli()) << 16
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(t, c.last+1)
	return stamp{c.last, c.node}
}

// saw takes note of a stamp of another node. One that is more than a day ahead is not believed.
func (c *clock) saw(s stamp) {
	if s.time().After(time.Now().Add(24 * time.Hour)) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, s.t)
}
