package broker

import (
	"bytes"
	"encoding/binary"

	"github.com/mochi-mqtt/server/v2/packets"
)

// The MQTT 5 properties that a client's packets may have, as bits.
const (
	ofMessage = 1<<packets.PropPayloadFormat | 1<<packets.PropMessageExpiryInterval | 1<<packets.PropContentType |
		1<<packets.PropResponseTopic | 1<<packets.PropCorrelationData | 1<<packets.PropUser
	ofPublish = ofMessage | 1<<packets.PropTopicAlias | 1<<packets.PropSubscriptionIdentifier
	ofWill    = ofMessage | 1<<packets.PropWillDelayInterval
	ofConnect = 1<<packets.PropSessionExpiryInterval | 1<<packets.PropReceiveMaximum | 1<<packets.PropMaximumPacketSize |
		1<<packets.PropTopicAliasMaximum | 1<<packets.PropRequestResponseInfo | 1<<packets.PropRequestProblemInfo |
		1<<packets.PropAuthenticationMethod | 1<<packets.PropAuthenticationData | 1<<packets.PropUser
	ofSubscribe  = 1<<packets.PropSubscriptionIdentifier | 1<<packets.PropUser
	ofDisconnect = 1<<packets.PropSessionExpiryInterval | 1<<packets.PropReasonString | 1<<packets.PropUser
)

// cutProperties takes the properties off what begins with their length.
func cutProperties(b []byte) (props, rest []byte, ok bool) {
	size, k := binary.Uvarint(b)
	if k <= 0 || k > 4 || size > uint64(len(b)-k) {
		return nil, nil, false
	}
	return b[k : k+int(size)], b[k+int(size):], true
}

// eachProperty calls each for every property, of which a packet may have those that are allowed, and all but user properties only once.
func eachProperty(b []byte, allowed uint64, each func(id byte, whole, value []byte) error) error {
	var seen uint64
	for len(b) > 0 {
		id := b[0]
		size, ok := propertySize(id, b[1:])
		if !ok || allowed&(1<<id) == 0 {
			return packets.ErrMalformedProperties
		}
		if seen&(1<<id) != 0 {
			return packets.ErrProtocolViolation
		}
		if id != packets.PropUser {
			seen |= 1 << id
		}
		if err := each(id, b[:1+size], b[1:1+size]); err != nil {
			return err
		}
		b = b[1+size:]
	}
	return nil
}

// checkProperty says what is wrong with the value of a property, apart from its form.
func checkProperty(id byte, _, value []byte) error {
	bad := false
	switch id {
	case packets.PropPayloadFormat, packets.PropRequestProblemInfo, packets.PropRequestResponseInfo:
		bad = value[0] > 1
	case packets.PropReceiveMaximum, packets.PropMaximumPacketSize:
		bad = len(bytes.Trim(value, "\x00")) == 0
	case packets.PropSubscriptionIdentifier:
		n, _ := binary.Uvarint(value)
		bad = n == 0
	case packets.PropResponseTopic:
		bad = bytes.ContainsAny(value[2:], "+#")
	}
	if bad {
		return packets.ErrProtocolViolation
	}
	return nil
}

// propertySize returns the length of the value of a property that a client may send; ok is false if it is another one, or
// malformed.
func propertySize(id byte, b []byte) (n int, ok bool) {
	text := func(b []byte, utf8 bool) (int, bool) {
		if len(b) < 2 {
			return 0, false
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		return n, n <= len(b) && (!utf8 || validText(b[2:n]))
	}
	switch id {
	case packets.PropPayloadFormat, packets.PropRequestProblemInfo, packets.PropRequestResponseInfo:
		return 1, len(b) >= 1
	case packets.PropTopicAlias, packets.PropTopicAliasMaximum, packets.PropReceiveMaximum:
		return 2, len(b) >= 2
	case packets.PropMessageExpiryInterval, packets.PropSessionExpiryInterval, packets.PropWillDelayInterval, packets.PropMaximumPacketSize:
		return 4, len(b) >= 4
	case packets.PropSubscriptionIdentifier:
		_, n := binary.Uvarint(b)
		return n, n > 0 && n <= 4
	case packets.PropContentType, packets.PropResponseTopic, packets.PropAuthenticationMethod, packets.PropReasonString:
		return text(b, true)
	case packets.PropCorrelationData, packets.PropAuthenticationData:
		return text(b, false)
	case packets.PropUser:
		key, ok := text(b, true)
		if !ok {
			return 0, false
		}
		val, ok := text(b[key:], true)
		return key + val, ok
	}
	return 0, false
}

// properties reads the properties of a PUBLISH.
func (p *publish) properties(b []byte) error {
	return eachProperty(b, ofPublish, func(id byte, whole, value []byte) error {
		switch id {
		case packets.PropMessageExpiryInterval:
			p.expiry, p.expires = binary.BigEndian.Uint32(value), true
			return nil
		case packets.PropTopicAlias:
			if p.alias = binary.BigEndian.Uint16(value); p.alias == 0 {
				return packets.ErrTopicAliasInvalid
			}
			return nil
		case packets.PropSubscriptionIdentifier:
			return packets.ErrProtocolViolationSurplusSubID
		}
		p.props = append(p.props, whole...)
		return checkProperty(id, whole, value)
	})
}

// checkConnect says what is wrong with an MQTT 5 CONNECT that the codec has understood.
func checkConnect(body []byte) error {
	name := int(binary.BigEndian.Uint16(body))
	flags := body[2+name+1]
	props, rest, ok := cutProperties(body[2+name+4:])
	if !ok {
		return packets.ErrMalformedProperties
	}
	if err := eachProperty(props, ofConnect, checkProperty); err != nil || flags&4 == 0 {
		return err
	}
	client := int(binary.BigEndian.Uint16(rest))
	if props, _, ok = cutProperties(rest[2+client:]); !ok {
		return packets.ErrMalformedWillProperties
	}
	return eachProperty(props, ofWill, checkProperty)
}

// checkSubscribe says what is wrong with an MQTT 5 SUBSCRIBE that the codec has understood.
func checkSubscribe(body []byte) error {
	props, rest, ok := cutProperties(body[2:])
	if !ok {
		return packets.ErrMalformedProperties
	}
	for len(rest) > 0 {
		filter := int(binary.BigEndian.Uint16(rest))
		if options := rest[2+filter]; options&0xc0 != 0 {
			return packets.ErrMalformedFlags
		}
		rest = rest[2+filter+1:]
	}
	return eachProperty(props, ofSubscribe, checkProperty)
}
