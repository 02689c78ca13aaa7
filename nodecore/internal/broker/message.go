package broker

import (
	"encoding/binary"
	"errors"
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
	once    bool // the publisher's node may publish it again after a crash, under the same numbers
}

// expired says whether the message's time is over.
func (m *message) expired(now time.Time) bool { return m.expires != 0 && now.UnixMilli() >= m.expires }

// size is what a message costs in a queue, in bytes, more or less.
func (m *message) size() int { return len(m.topic) + len(m.payload) + len(m.props) + 128 }

const (
	flagRetain  = 4 // beside the QoS in the low bits
	flagExpires = 8
	flagOnce    = 16
)

// append encodes the message for links and disk.
func (m *message) append(b []byte) []byte { return append(m.appendHead(b), m.payload...) }

// appendHead encodes the message without its payload, which is to follow.
func (m *message) appendHead(b []byte) []byte {
	flags := m.qos
	if m.retain {
		flags |= flagRetain
	}
	if m.expires != 0 {
		flags |= flagExpires
	}
	if m.once {
		flags |= flagOnce
	}
	b = append(b, flags)
	if m.expires != 0 {
		b = binary.AppendUvarint(b, uint64(m.expires))
	}
	b = binary.BigEndian.AppendUint64(b, m.node)
	for _, n := range [...]int{int(m.seq), len(m.topic), len(m.origin), len(m.props)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = append(b, m.topic...)
	b = append(b, m.origin...)
	return append(b, m.props...)
}

// headSize is about how much appendHead appends, and what goes before it in a frame.
func (m *message) headSize() int { return 40 + len(m.topic) + len(m.origin) + len(m.props) }

// parseMessage reads what append wrote. The message doesn't keep b.
func parseMessage(b []byte) (*message, error) {
	r := reader{b: b}
	flags := r.byte()
	m := &message{qos: flags & 3, retain: flags&flagRetain != 0, once: flags&flagOnce != 0}
	if flags&flagExpires != 0 {
		m.expires = int64(r.uvarint())
	}
	m.node, m.seq = r.uint64(), r.uvarint()
	topic, origin, props := r.uvarint(), r.uvarint(), r.uvarint()
	if n := uint64(len(r.b)); r.bad || m.qos > 2 || topic > n || origin > n || props > n || topic+origin+props > n {
		return nil, errMalformed
	}
	names := string(r.take(topic + origin)) // one allocation for both
	m.topic, m.origin = names[:topic], names[topic:]
	rest := append([]byte(nil), r.rest()...)
	m.props, m.payload = rest[:props:props], rest[props:]
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
