package main

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
)

// retained are the retained messages of a cluster, by topic. By default a real EMQX holds them in memory alone: they are in
// the nodes that run, each of which has them all, and gone when the last one stops.
type retained map[string][]byte

// set keeps a message; an empty one deletes.
func (r retained) set(topic string, payload []byte) {
	if len(payload) == 0 {
		delete(r, topic)
		return
	}
	r[topic] = payload
}

// matching lists the topics that a filter takes: one topic, or # for all. This is no broker.
func (r retained) matching(filter string) []string {
	if filter == "#" {
		return slices.Sorted(maps.Keys(r))
	}
	if _, ok := r[filter]; ok {
		return []string{filter}
	}
	return nil
}

// messages is what MQTT clients of a node may do with the cluster's retained messages.
type messages struct{ *cluster }

// publish keeps a message and tells the members that run.
func (m messages) publish(topic string, payload []byte) {
	m.mu.Lock()
	m.retained.set(topic, payload)
	peers := m.runningPeers()
	m.mu.Unlock()
	m.tell(context.Background(), peers, request{Op: opRetain, Topic: topic, Payload: payload})
}

func (m messages) match(filter string) retained {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := retained{}
	for _, topic := range m.retained.matching(filter) {
		found[topic] = m.retained[topic]
	}
	return found
}

// MQTT's QoS bits in the first byte of a PUBLISH, and its retain bit.
const (
	retainBit = 1
	qosBits   = 6
)

// published answers a PUBLISH of QoS 0 or 1 and keeps what it retains.
func (m messages) published(flags byte, version byte, body []byte) []byte {
	topic, rest, ok := mqttText(body)
	if !ok {
		return nil
	}
	var answer []byte
	if flags&qosBits != 0 && len(rest) >= 2 {
		answer = []byte{0x40, 2, rest[0], rest[1]}
		rest = rest[2:]
	}
	rest = skipProperties(version, rest)
	if flags&retainBit != 0 {
		m.publish(topic, slices.Clone(rest))
	}
	return answer
}

// subscribed answers a SUBSCRIBE with a grant of QoS 0 for each filter and the messages that are retained.
func (m messages) subscribed(version byte, body []byte) []byte {
	if len(body) < 2 {
		return nil
	}
	rest := skipProperties(version, body[2:])
	grants, messages := []byte{}, []byte{}
	for {
		filter, after, ok := mqttText(rest)
		if !ok || len(after) == 0 {
			break
		}
		rest = after[1:]
		grants = append(grants, 0)
		found := m.match(filter)
		for _, topic := range slices.Sorted(maps.Keys(found)) {
			messages = append(messages, retainedPacket(version, topic, found[topic])...)
		}
	}
	head := []byte{body[0], body[1]}
	if version == mqtt5 {
		head = append(head, 0) // no properties
	}
	return append(packet(0x90, append(head, grants...)), messages...)
}

func retainedPacket(version byte, topic string, payload []byte) []byte {
	body := binary.BigEndian.AppendUint16(nil, uint16(len(topic)))
	body = append(body, topic...)
	if version == mqtt5 {
		body = append(body, 0)
	}
	return packet(0x31, append(body, payload...))
}

// packet puts the first byte and the length before a body.
func packet(first byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
}

// mqttText reads a text with its length before it.
func mqttText(body []byte) (text string, rest []byte, ok bool) {
	if len(body) < 2 {
		return "", nil, false
	}
	end := 2 + int(binary.BigEndian.Uint16(body))
	if len(body) < end {
		return "", nil, false
	}
	return string(body[2:end]), body[end:], true
}

func skipProperties(version byte, body []byte) []byte {
	if version != mqtt5 {
		return body
	}
	length, n := binary.Uvarint(body)
	if n <= 0 || uint64(len(body)) < uint64(n)+length {
		return nil
	}
	return body[n+int(length):]
}
