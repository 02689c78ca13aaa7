package broker

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"onemore/nodecore/internal/topic"
)

// will is the message that a client leaves for the case that it is lost.
type will struct {
	m      message
	at     stamp // when the client connected
	delay  time.Duration
	expiry uint32 // seconds from its publication; 0 never
}

func newWill(pk packets.Packet, client string, version byte) *will {
	cp := pk.Connect
	w := &will{m: message{topic: cp.WillTopic, payload: cp.WillPayload, origin: client, qos: cp.WillQos, retain: cp.WillRetain}}
	if version == 5 {
		w.m.props = willProperties(cp.WillProperties)
		w.expiry = cp.WillProperties.MessageExpiryInterval
		w.delay = time.Duration(min(cp.WillProperties.WillDelayInterval, pk.Properties.SessionExpiryInterval)) * time.Second
	}
	return w
}

// willProperties encodes those properties of a will that go with its message.
func willProperties(p packets.Properties) (b []byte) {
	text := func(id byte, values ...string) {
		b = append(b, id)
		for _, v := range values {
			b = binary.BigEndian.AppendUint16(b, uint16(len(v)))
			b = append(b, v...)
		}
	}
	if p.PayloadFormatFlag {
		b = append(b, packets.PropPayloadFormat, p.PayloadFormat)
	}
	if p.ContentType != "" {
		text(packets.PropContentType, p.ContentType)
	}
	if p.ResponseTopic != "" {
		text(packets.PropResponseTopic, p.ResponseTopic)
	}
	if len(p.CorrelationData) > 0 {
		text(packets.PropCorrelationData, string(p.CorrelationData))
	}
	for _, u := range p.User {
		text(packets.PropUser, u.Key, u.Val)
	}
	return b
}

// publishWill publishes a will; nil is none. Another node may do so, too, if it gives up the client's node.
func (b *Broker) publishWill(w *will) {
	if w == nil {
		return
	}
	m := w.m
	m.node, m.once = w.number(), true
	if w.expiry > 0 {
		m.expires = time.Now().UnixMilli() + int64(w.expiry)*1000
	}
	if topic.ValidName(m.topic) && !b.repeated.known(&m) {
		b.publish(&m, nil, nil)
	}
	b.wills.tell(w, false)
}

// number is the message.node of a will's message, the same on whatever node it is published.
func (w *will) number() uint64 {
	h := fnv.New64a()
	h.Write(w.at.append(appendString(nil, w.m.origin)))
	return h.Sum64()
}
