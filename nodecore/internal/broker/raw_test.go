package broker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// raw is a client that does just what a test says, in MQTT 3.1.1 unless it writes something else.
type raw struct {
	t       testing.TB
	nc      net.Conn
	br      *bufio.Reader
	present bool // session present, of the CONNACK
}

// open opens a connection to node i on which nothing is said yet.
func (c *testCluster) open(i int) *raw {
	c.t.Helper()
	nc, err := net.Dial("tcp", c.nodes[i].addr("mqtt"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { nc.Close() })
	return &raw{t: c.t, nc: nc, br: bufio.NewReader(nc)}
}

func (c *testCluster) raw(i int, id string, clean bool) *raw {
	c.t.Helper()
	return c.rawWith(i, id, clean, 60)
}

// rawWith is raw with a keep-alive time in seconds.
func (c *testCluster) rawWith(i int, id string, clean bool, keepalive byte) *raw {
	c.t.Helper()
	r := c.open(i)
	flags := byte(0)
	if clean {
		flags = 2
	}
	r.send(packets.Connect<<4, []byte{0, 4, 'M', 'Q', 'T', 'T', 4, flags, 0, keepalive}, text(id))
	r.connack()
	return r
}

// raw5 connects in MQTT 5, with the properties given.
func (c *testCluster) raw5(i int, id string, clean bool, props ...byte) *raw {
	c.t.Helper()
	r := c.open(i)
	r.send(packets.Connect<<4, connect5(id, clean, props))
	r.connack()
	return r
}

// connect5 is a CONNECT without a will; props are its properties, encoded.
func connect5(id string, clean bool, props []byte) []byte {
	b := []byte{0, 4, 'M', 'Q', 'T', 'T', 5, 0, 0, 60, byte(len(props))}
	if clean {
		b[7] = 2
	}
	return append(append(b, props...), text(id)...)
}

// text encodes a string.
func text(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func (r *raw) connack() {
	r.t.Helper()
	head, ack := r.read()
	if head>>4 != packets.Connack || ack[1] != 0 {
		r.t.Fatalf("CONNACK %x %x", head, ack)
	}
	r.present = ack[0] == 1
}

// send writes a packet of these parts.
func (r *raw) send(head byte, parts ...[]byte) {
	r.t.Helper()
	body := bytes.Join(parts, nil)
	r.write(append(binary.AppendUvarint([]byte{head}, uint64(len(body))), body...))
}

// readEnd reads what the server says last, and returns its reason; 0 if it just closes.
func (r *raw) readEnd() byte {
	r.t.Helper()
	r.nc.SetReadDeadline(time.Now().Add(30 * time.Second))
	reason := byte(0)
	for {
		head, body, err := readPacket(r.br, 1<<28)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.t.Fatal("the connection stays open")
		case err != nil:
			return reason
		case head>>4 == packets.Disconnect:
			reason = body[0]
		case head>>4 == packets.Connack:
			reason = body[1]
		}
	}
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
	r.send(packets.Subscribe<<4|2, []byte{0, 9}, text(filter), []byte{qos})
	if head, b := r.read(); head>>4 != packets.Suback || b[2] != qos {
		r.t.Fatalf("SUBACK %x %x", head, b)
	}
}

func (r *raw) publish(topic, payload string, qos byte, id uint16, dup bool) {
	r.t.Helper()
	m := &message{topic: topic, payload: []byte(payload)}
	r.write(appendPublish(nil, m, delivery{qos: qos, id: id, dup: dup}, 0, 4))
}

// ping returns when the server has read all that was said before; nothing else must be on its way.
func (r *raw) ping() {
	r.t.Helper()
	r.write([]byte{packets.Pingreq << 4, 0})
	if head, body := r.read(); head>>4 != packets.Pingresp {
		r.t.Fatalf("%x %x is no PINGRESP", head, body)
	}
}
