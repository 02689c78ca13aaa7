package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// client is one MQTT 5 connection that adds as little of its own as can be: packets are written in batches, and
// acknowledged as they come. One goroutine may publish; what arrives comes through arrived.
type client struct {
	conn    net.Conn
	mu      sync.Mutex // guards w
	w       *bufio.Writer
	id      uint16
	arrived chan []byte // closed at the end, with err set before
	granted chan struct{}
	err     error
}

var clients atomic.Int64

// dial connects as a new client with a clean session.
func dial(ctx context.Context, addr string) (*client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, w: bufio.NewWriterSize(conn, 16<<10), arrived: make(chan []byte, inFlight), granted: make(chan struct{}, 1)}
	cp := packets.NewControlPacket(packets.CONNECT)
	p := cp.Content.(*packets.Connect)
	p.ProtocolName, p.ProtocolVersion, p.CleanStart, p.KeepAlive = "MQTT", 5, true, 600
	p.ClientID = "bench-" + strconv.FormatInt(clients.Add(1), 10) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	receive := uint16(65535)
	p.Properties = &packets.Properties{ReceiveMaximum: &receive}
	if _, err := cp.WriteTo(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	r := bufio.NewReaderSize(conn, 16<<10)
	ack, err := packets.ReadPacket(r)
	if err == nil {
		if a, ok := ack.Content.(*packets.Connack); !ok || a.ReasonCode != 0 {
			err = fmt.Errorf("refused: %v", ack)
		}
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	go c.read(r)
	return c, nil
}

// read takes packets until the connection ends. Acknowledgements are sent with the next pause in the stream.
func (c *client) read(r *bufio.Reader) {
	defer close(c.arrived)
	for {
		p, err := packets.ReadPacket(r)
		if err != nil {
			c.err = err
			return
		}
		switch m := p.Content.(type) {
		case *packets.Publish:
			if m.QoS > 0 {
				ack := packets.Puback{PacketID: m.PacketID}
				c.mu.Lock()
				_, err = ack.WriteTo(c.w)
				if err == nil && r.Buffered() == 0 {
					err = c.w.Flush()
				}
				c.mu.Unlock()
			}
			c.arrived <- m.Payload
		case *packets.Suback:
			c.granted <- struct{}{}
		case *packets.Disconnect:
			err = fmt.Errorf("the server ended the connection: reason %d", m.ReasonCode)
		}
		if err != nil {
			c.err = err
			return
		}
	}
}

// next waits for a message.
func (c *client) next(ctx context.Context) ([]byte, error) {
	select {
	case m, ok := <-c.arrived:
		if !ok {
			return nil, c.err
		}
		return m, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c *client) subscribe(topic string, qos byte) error {
	s := packets.Subscribe{PacketID: 1, Subscriptions: []packets.SubOptions{{Topic: topic, QoS: qos}}, Properties: &packets.Properties{}}
	if _, err := s.WriteTo(c.conn); err != nil {
		return err
	}
	t := time.NewTimer(10 * time.Second)
	defer t.Stop()
	select {
	case <-c.granted:
		return nil
	case <-t.C:
		return fmt.Errorf("no answer to a subscription")
	}
}

// publish queues a message; flush sends it.
func (c *client) publish(topic string, qos byte, data []byte) error {
	p := packets.Publish{Topic: topic, QoS: qos, Payload: data, Properties: &packets.Properties{}}
	if qos > 0 {
		c.id = max(1, c.id+1)
		p.PacketID = c.id
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := p.WriteTo(c.w)
	return err
}

func (c *client) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.w.Flush()
}

// close ends the connection and waits for its reader.
func (c *client) close() {
	c.conn.Close()
	for range c.arrived {
	}
}
