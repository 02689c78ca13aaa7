package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"
)

// MaxPacket is the largest packet that is taken from a client, in bytes after its fixed header.
const MaxPacket = 8 << 20

// maxConnect is the largest first packet, from somebody who may not be a client at all.
const maxConnect = 256 << 10

// allocAhead is how much is allocated for a packet before its bytes have come.
const allocAhead = 64 << 10

// decode takes apart all packets but PUBLISH, the acknowledgements and DISCONNECT. The codec is not made for garbage, so that what
// it does with it is caught here.
func decode(head byte, body []byte, version byte) (pk packets.Packet, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = packets.ErrMalformedPacket
		}
	}()
	if err := pk.FixedHeader.Decode(head); err != nil {
		return pk, err
	}
	pk.FixedHeader.Remaining = len(body)
	pk.ProtocolVersion = version
	switch pk.FixedHeader.Type {
	case packets.Connect:
		if err = pk.ConnectDecode(body); err == nil && pk.ProtocolVersion == 5 {
			err = checkConnect(body)
		}
	case packets.Subscribe:
		if err = pk.SubscribeDecode(body); err == nil {
			err = failed(pk.SubscribeValidate())
		}
		if err == nil && version == 5 {
			err = checkSubscribe(body)
		}
	case packets.Unsubscribe:
		if err = pk.UnsubscribeDecode(body); err == nil {
			err = failed(pk.UnsubscribeValidate())
		}
	case packets.Pingreq:
		if len(body) != 0 {
			err = packets.ErrMalformedPacket
		}
	default:
		err = packets.ErrProtocolViolation
	}
	return pk, err
}

// failed makes an error of a code, unless it is success.
func failed(c packets.Code) error {
	if c == packets.CodeSuccess {
		return nil
	}
	return c
}

// encode appends a packet that is not PUBLISH nor an acknowledgement.
func encode(b []byte, pk packets.Packet, version byte) []byte {
	pk.ProtocolVersion = version
	var buf bytes.Buffer
	var err error
	switch pk.FixedHeader.Type {
	case packets.Connack:
		err = pk.ConnackEncode(&buf)
	case packets.Suback:
		err = pk.SubackEncode(&buf)
	case packets.Unsuback:
		err = pk.UnsubackEncode(&buf)
	case packets.Disconnect:
		err = pk.DisconnectEncode(&buf)
	default:
		err = fmt.Errorf("packet type %d", pk.FixedHeader.Type)
	}
	if err != nil {
		panic("encode a packet of ours: " + err.Error())
	}
	return append(b, buf.Bytes()...)
}

// ack is a PUBACK, PUBREC, PUBREL or PUBCOMP.
type ack struct {
	kind   byte
	id     uint16
	reason byte
}

func decodeAck(head byte, body []byte) (ack, error) {
	kind := head >> 4
	countFilter := byte(0)
	if kind == packets.Pubrel {
		countFilter = 2
	}
	if head&15 != countFilter || len(body) < 2 {
		return ack{}, packets.ErrMalformedPacket
	}
	a := ack{kind: kind, id: binary.BigEndian.Uint16(body)}
	if len(body) > 2 {
		a.reason = body[2]
	}
	if a.id == 0 {
		return ack{}, packets.ErrProtocolViolationNoPacketID
	}
	return a, nil
}

func appendAck(b []byte, a ack, version byte) []byte {
	head := a.kind << 4
	if a.kind == packets.Pubrel {
		head |= 2
	}
	if a.reason != 0 && version == 5 {
		return append(b, head, 3, byte(a.id>>8), byte(a.id), a.reason)
	}
	return append(b, head, 2, byte(a.id>>8), byte(a.id))
}

// disconnect is a client's DISCONNECT.
type disconnect struct {
	reason  byte
	expiry  uint32 // seconds
	expires bool   // expiry is given
}

func decodeDisconnect(head byte, body []byte, version byte) (d disconnect, err error) {
	if head&15 != 0 {
		return d, packets.ErrMalformedFlags
	}
	if version < 5 || len(body) == 0 {
		return d, nil
	}
	if d.reason = body[0]; len(body) == 1 {
		return d, nil
	}
	props, rest, ok := cutProperties(body[1:])
	if !ok || len(rest) > 0 {
		return d, packets.ErrMalformedProperties
	}
	return d, eachProperty(props, ofDisconnect, func(id byte, _, value []byte) error {
		if id == packets.PropSessionExpiryInterval {
			d.expiry, d.expires = binary.BigEndian.Uint32(value), true
		}
		return nil
	})
}

// publish is a PUBLISH packet as it came.
type publish struct {
	topic   string
	payload []byte
	props   []byte // those that travel with the message
	expiry  uint32 // seconds
	id      uint16
	alias   uint16
	qos     byte
	retain  bool
	dup     bool
	expires bool // expiry is given
}

// decodePublish takes a PUBLISH apart, which keeps body. last is a topic that it may have.
func decodePublish(head byte, body []byte, version byte, last string) (p publish, err error) {
	p.qos, p.retain, p.dup = head>>1&3, head&1 != 0, head&8 != 0
	if p.qos == 3 {
		return p, packets.ErrProtocolViolationQosOutOfRange
	}
	if p.dup && p.qos == 0 {
		return p, packets.ErrProtocolViolationDupNoQos
	}
	if len(body) < 2 {
		return p, packets.ErrMalformedTopic
	}
	n := int(binary.BigEndian.Uint16(body))
	if body = body[2:]; n > len(body) {
		return p, packets.ErrMalformedTopic
	}
	if p.topic = last; string(body[:n]) != last {
		if !validText(body[:n]) {
			return p, packets.ErrMalformedInvalidUTF8
		}
		p.topic = string(body[:n])
	}
	body = body[n:]
	if p.qos > 0 {
		if len(body) < 2 {
			return p, packets.ErrMalformedPacketID
		}
		if p.id = binary.BigEndian.Uint16(body); p.id == 0 {
			return p, packets.ErrProtocolViolationNoPacketID
		}
		body = body[2:]
	}
	if version == 5 {
		props, rest, ok := cutProperties(body)
		if !ok {
			return p, packets.ErrMalformedProperties
		}
		if err := p.properties(props); err != nil {
			return p, err
		}
		body = rest
	}
	p.payload = body
	return p, nil
}

func validText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

// appendPublish appends a message as a PUBLISH. left is its remaining life in seconds, if it has an end.
func appendPublish(b []byte, m *message, d delivery, left uint32, version byte) []byte {
	topic := m.topic
	if d.alias != 0 && d.known {
		topic = ""
	}
	size := 2 + len(topic) + len(m.payload)
	if d.qos > 0 {
		size += 2
	}
	props := 0
	if version == 5 {
		props = len(m.props)
		if m.expires != 0 {
			props += 5
		}
		if d.alias != 0 {
			props += 3
		}
		for _, id := range d.ids {
			props += 1 + varintLen(id)
		}
		size += props + varintLen(props)
	}
	head := byte(packets.Publish)<<4 | d.qos<<1
	if d.retain {
		head |= 1
	}
	if d.dup {
		head |= 8
	}
	b = append(b, head)
	b = binary.AppendUvarint(b, uint64(size))
	b = binary.BigEndian.AppendUint16(b, uint16(len(topic)))
	b = append(b, topic...)
	if d.qos > 0 {
		b = binary.BigEndian.AppendUint16(b, d.id)
	}
	if version == 5 {
		b = binary.AppendUvarint(b, uint64(props))
		b = append(b, m.props...)
		if m.expires != 0 {
			b = append(b, packets.PropMessageExpiryInterval)
			b = binary.BigEndian.AppendUint32(b, left)
		}
		if d.alias != 0 {
			b = append(b, packets.PropTopicAlias, byte(d.alias>>8), byte(d.alias))
		}
		for _, id := range d.ids {
			b = append(b, packets.PropSubscriptionIdentifier)
			b = binary.AppendUvarint(b, uint64(id))
		}
	}
	return append(b, m.payload...)
}

func varintLen(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}
