package broker

import (
	"bytes"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"onemore/nodecore/internal/peer"
)

// FuzzPacket feeds the decoders what a client may send.
func FuzzPacket(f *testing.F) {
	f.Add(byte(0x10), []byte("\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a"), byte(5))
	f.Add(byte(0x82), []byte{0, 1, 0, 0, 1, 'a'}, byte(5))
	f.Add(byte(0xa2), []byte{0, 1, 0, 1, 'a'}, byte(4))
	f.Add(byte(0x3b), []byte("\x00\x01a\x00\x01\x05\x26\x00\x00\x00\x00"), byte(5))
	f.Add(byte(0xe0), []byte{0, 5, 0x11, 0, 0, 0, 1}, byte(5))
	f.Fuzz(func(t *testing.T, head byte, body []byte, version byte) {
		version = 4 + version&1
		switch head >> 4 {
		case packets.Publish:
			p, err := decodePublish(head, body, version, "")
			if err != nil {
				return
			}
			m := &message{topic: p.topic, payload: p.payload, props: p.props, qos: p.qos, retain: p.retain}
			out := appendPublish(nil, m, delivery{qos: p.qos, id: p.id, retain: p.retain, dup: p.dup}, 0, version)
			_, k := uvarint(out[1:])
			again, err := decodePublish(out[0], out[1+k:], version, "")
			if err != nil || again.topic != p.topic || !bytes.Equal(again.payload, p.payload) || !bytes.Equal(again.props, p.props) || again.id != p.id {
				t.Errorf("%+v became %+v, %v", p, again, err)
			}
		case packets.Puback, packets.Pubrec, packets.Pubrel, packets.Pubcomp:
			decodeAck(head, body)
		case packets.Disconnect:
			decodeDisconnect(head, body, version)
		default:
			decode(head, body, version)
		}
	})
}

func uvarint(b []byte) (v, n int) {
	for {
		v |= int(b[n]&127) << (7 * n)
		if n++; b[n-1] < 128 {
			return v, n
		}
	}
}

// FuzzFrame feeds a broker what a broken peer may send.
func FuzzFrame(f *testing.F) {
	m := &message{topic: "a/b", payload: []byte("x"), props: []byte{1, 1}, origin: "c", node: 1, seq: 2, expires: 1, qos: 1, retain: true}
	at := stamp{5, "n2@127.0.0.1"}
	st := sessionState{id: "c", stamp: at, subs: []subscription{{filter: "a/#", qos: 1}}, released: []uint16{1}, recv: []uint16{2}, messages: []delivery{{m: m, qos: 1}}}
	f.Add(framePublish, m.append(appendPublishHead(nil, forward{plain: true, shares: []string{"$share/g/a"}}, &at, 1)))
	f.Add(frameRoutes, appendRoute([]byte{routesBegin | routesEnd}, "$share/g/a/+", true, route{durable: true, online: 2}))
	f.Add(frameOffer, digest{1}.append(nil))
	f.Add(framePull, digest{1}.append(make([]byte, 8)))
	f.Add(frameRetained, appendRetained(appendString(nil, "a/b"), retainedEntry{at: at, m: m}))
	f.Add(frameTakeover, appendBool(at.append(appendString(make([]byte, 8), "c")), false))
	f.Add(frameTakeoverAnswer, st.append(append(make([]byte, 8), answerMoved)))
	f.Add(frameSessions, at.append(appendString(nil, "c")))
	f.Add(frameHandOver, st.append(nil))
	f.Add(frameWills, appendWillEntry(append([]byte{willsBegin | willsEnd}, make([]byte, 8)...), &will{m: *m, at: at, delay: 3600e9}, true))
	f.Add(frameSettled, appendString(nil, "c"))
	c := newCluster(f, 1)
	b := c.nodes[0].Broker
	b.SetPeers([]peer.Peer{{Name: "n2@127.0.0.1", ID: "x", Addr: "127.0.0.1:1"}})
	f.Fuzz(func(t *testing.T, kind byte, body []byte) { b.Receive("n2@127.0.0.1", kind, body, someFrame{}) })
}

// someFrame is the frame of a peer that is handled.
type someFrame struct{}

func (someFrame) Pause() (resume func())         { return func() {} }
func (someFrame) Position() (stream, seq uint64) { return 1, 1 }
