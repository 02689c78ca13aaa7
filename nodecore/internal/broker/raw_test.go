package broker

import (
	"bufio"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// raw is an MQTT 3.1.1 client that does just what a test says.
type raw struct {
	t       testing.TB
	nc      net.Conn
	br      *bufio.Reader
	present bool // session present, of the CONNACK
}

func (c *testCluster) raw(i int, id string, clean bool) *raw {
	c.t.Helper()
	return c.rawWith(i, id, clean, 60)
}

// rawWith is raw with a keep-alive time in seconds.
func (c *testCluster) rawWith(i int, id string, clean bool, keepalive byte) *raw {
	c.t.Helper()
	nc, err := net.Dial("tcp", c.nodes[i].addr("mqtt"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { nc.Close() })
	r := &raw{t: c.t, nc: nc, br: bufio.NewReader(nc)}
	flags := byte(0)
	if clean {
		flags = 2
	}
	body := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, flags, 0, keepalive, 0, byte(len(id))}, id...)
	r.write(append([]byte{packets.Connect << 4, byte(len(body))}, body...))
	head, ack := r.read()
	if head>>4 != packets.Connack || ack[1] != 0 {
		c.t.Fatalf("CONNACK %x %x", head, ack)
	}
	r.present = ack[0] == 1
	return r
}

func (r *raw) write(b []byte) {
	r.t.Helper()
	if _, err := r.nc.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) read() (head byte, body []byte) {
	r.t.Helper()
	r.nc.SetReadDeadline(time.Now().Add(30 * time.Second))
	head, body, err := readPacket(r.br, 1<<28)
	if err != nil {
		r.t.Fatalf("read: %v", err)
	}
	return head, body
}

// readPublish reads a PUBLISH.
func (r *raw) readPublish() publish {
	r.t.Helper()
	head, body := r.read()
	p, err := decodePublish(head, body, 4, "")
	if err != nil || head>>4 != packets.Publish {
		r.t.Fatalf("%x is no PUBLISH: %v", head, err)
	}
	return p
}

// readAck reads an acknowledgement of a kind.
func (r *raw) readAck(kind byte) uint16 {
	r.t.Helper()
	head, body := r.read()
	a, err := decodeAck(head, body)
	if err != nil || a.kind != kind {
		r.t.Fatalf("%x %x is no ack of kind %d: %v", head, body, kind, err)
	}
	return a.id
}

func (r *raw) ack(kind byte, id uint16) {
	r.t.Helper()
	r.write(appendAck(nil, ack{kind: kind, id: id}, 4))
}

func (r *raw) subscribe(qos byte, filter string) {
	r.t.Helper()
	body := append(binary.BigEndian.AppendUint16([]byte{0, 9}, uint16(len(filter))), filter...)
	body = append(body, qos)
	r.write(append([]byte{packets.Subscribe<<4 | 2, byte(len(body))}, body...))
	if head, b := r.read(); head>>4 != packets.Suback || b[2] != qos {
		r.t.Fatalf("SUBACK %x %x", head, b)
	}
}

func (r *raw) publish(topic, payload string, qos byte, id uint16, dup bool) {
	r.t.Helper()
	m := &message{topic: topic, payload: []byte(payload)}
	r.write(appendPublish(nil, m, delivery{qos: qos, id: id, dup: dup}, 0, 4))
}
