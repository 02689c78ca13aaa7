package broker

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"
)

// message is an application message. It is shared by all queues that it is in, and never changes.
type message struct {
	topic   string
	payload []byte
	props   []byte // MQTT 5 properties that travel with the message, encoded; expiry is not among them
	origin  string // client id of the publisher
	node    uint64 // process that took it in, and
	seq     uint64 // its number there
	expires int64  // Unix milliseconds; 0 never
	qos     byte
	retain  bool

	encoded atomic.Pointer[[]byte]
}

// expired says whether the message's time is over.
func (m *message) expired(now time.Time) bool { return m.expires != 0 && now.UnixMilli() >= m.expires }

// size is what a message costs in a queue, in bytes, more or less.
func (m *message) size() int { return len(m.topic) + len(m.payload) + len(m.props) + 128 }

const (
	flagRetain  = 4 // beside the QoS in the low bits
	flagExpires = 8
)

// bytes returns the message in the form used on links and disk; it must not be changed.
func (m *message) bytes() []byte {
	if p := m.encoded.Load(); p != nil {
		return *p
	}
	b := make([]byte, 0, 48+len(m.topic)+len(m.payload)+len(m.props)+len(m.origin))
	flags := m.qos
	if m.retain {
		flags |= flagRetain
	}
	if m.expires != 0 {
		flags |= flagExpires
	}
	b = append(b, flags)
	if m.expires != 0 {
		b = binary.AppendUvarint(b, uint64(m.expires))
	}
	b = binary.BigEndian.AppendUint64(b, m.node)
	b = binary.AppendUvarint(b, m.seq)
	b = appendString(b, m.topic)
	b = appendString(b, m.origin)
	b = appendString(b, string(m.props))
	b = append(b, m.payload...)
	m.encoded.Store(&b)
	return b
}

// parseMessage reads what bytes wrote; the message keeps b.
func parseMessage(b []byte) (*message, error) {
	r := reader{b: b}
	flags := r.byte()
	m := &message{qos: flags & 3, retain: flags&flagRetain != 0}
	if flags&flagExpires != 0 {
		m.expires = int64(r.uvarint())
	}
	m.node = r.uint64()
	m.seq = r.uvarint()
	m.topic = r.string()
	m.origin = r.string()
	m.props = r.bytes()
	m.payload = r.rest()
	if r.bad || m.qos > 2 {
		return nil, errMalformed
	}
	m.encoded.Store(&b)
	return m, nil
}

var errMalformed = errors.New("malformed record")

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// reader takes records apart. Once something is missing, it is bad, and all that follows is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) bool() bool { return r.byte() != 0 }

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a number of things of at least size bytes each, so that no more is allocated than was sent.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if r.bad || n > uint64(len(r.b)/size) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) bytes() []byte { return r.take(r.uvarint()) }

func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) rest() []byte { return r.take(uint64(len(r.b))) }
