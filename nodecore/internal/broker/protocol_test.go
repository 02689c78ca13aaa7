package broker

import (
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"onemore/nodecore/internal/topic"
)

// Topics and filters with too many levels are refused, whoever names them.
func TestTooManyLevels(t *testing.T) {
	c := newCluster(t, 2)
	deepest := strings.Repeat("/", topic.MaxLevels-1)
	sub3, sub5 := c.raw(1, "sub3", true), c.raw5(1, "sub5", true)
	sub3.send(packets.Subscribe<<4|2, []byte{0, 9}, text(deepest), []byte{1}, text(deepest+"/"), []byte{1})
	if _, body := sub3.read(); body[2] != 1 || body[3] != 0x80 {
		t.Errorf("SUBACK %x in MQTT 3.1.1", body)
	}
	sub5.send(packets.Subscribe<<4|2, []byte{0, 9, 0}, text(deepest), []byte{1}, text(deepest+"/"), []byte{1})
	if _, body := sub5.read(); body[3] != 1 || body[4] != packets.ErrTopicFilterInvalid.Code {
		t.Errorf("SUBACK %x in MQTT 5", body)
	}
	pub := c.raw5(0, "pub", true)
	pub.send(packets.Publish<<4, text(deepest), []byte{0, 'x'})
	if p := sub3.readPublish(); p.topic != deepest {
		t.Errorf("got a message to %q", p.topic)
	}
	pub.send(packets.Publish<<4, text(deepest+"/"), []byte{0, 'x'})
	if got := pub.readEnd(); got != packets.ErrTopicNameInvalid.Code {
		t.Errorf("a publisher is told %x", got)
	}
	will := c.open(0)
	will.send(packets.Connect<<4, []byte{0, 4, 'M', 'Q', 'T', 'T', 5, 2 | 4, 0, 60, 0}, text("will"), []byte{0}, text(deepest+"/"), text("x"))
	if got := will.readEnd(); got != packets.ErrTopicNameInvalid.Code {
		t.Errorf("a client with such a will is told %x", got)
	}
}
