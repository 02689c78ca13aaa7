package peer

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

// handshakeTime bounds dialing, and proving who one is.
const handshakeTime = 2 * time.Second

const (
	magic    = "onemore-link-1"
	nonceLen = 16
)

// RefusedError says why the other side of a link refused it.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refused: " + e.Reason }

// errProof is a proof that doesn't hold: the secrets differ.
var errProof = errors.New("the other side doesn't know the cluster's secret")

// identity is the node at one end of a link.
type identity struct {
	cluster     string
	name, id    string
	incarnation uint64 // random per process, and per Reset
}

// greeting is a hello or challenge: an identity, a nonce, who is meant, and for a hello the numbering of the frames.
type greeting struct {
	identity
	nonce  []byte
	to     string
	stream uint64 // random per numbering
	next   uint64 // first frame to come
}

func (g greeting) append(b []byte) []byte {
	b = append(b, magic...)
	for _, s := range []string{g.cluster, g.name, g.id, g.to} {
		b = appendString(b, s)
	}
	for _, n := range []uint64{g.incarnation, g.stream, g.next} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return append(b, g.nonce...)
}

// parseGreeting reads what append wrote; rest is what follows it.
func parseGreeting(b []byte) (g greeting, rest []byte, err error) {
	bad := errors.New("this is not a greeting of a node")
	if len(b) < len(magic) || string(b[:len(magic)]) != magic {
		return g, nil, bad
	}
	b = b[len(magic):]
	for _, s := range []*string{&g.cluster, &g.name, &g.id, &g.to} {
		var ok bool
		if *s, b, ok = cutString(b); !ok {
			return g, nil, bad
		}
	}
	if len(b) < 24+nonceLen {
		return g, nil, bad
	}
	for _, n := range []*uint64{&g.incarnation, &g.stream, &g.next} {
		*n, b = binary.BigEndian.Uint64(b), b[8:]
	}
	g.nonce = b[:nonceLen]
	return g, b[nonceLen:], nil
}

// linkKey is the key of all proofs of a cluster.
func linkKey(secret []byte, cluster string) []byte { return proof(secret, "link", []byte(cluster)) }

// proof is a MAC over what was said so far; the label keeps the two directions apart.
func proof(key []byte, label string, said ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(appendString(nil, label))
	for _, s := range said {
		h.Write(binary.AppendUvarint(nil, uint64(len(s))))
		h.Write(s)
	}
	return h.Sum(nil)
}

func newNonce() []byte {
	b := make([]byte, nonceLen)
	rand.Read(b) // never fails
	return b
}

// welcome is what a dialer learns.
type welcome struct {
	incarnation uint64 // of the process that answered
	last        uint64 // frame that it has handled last
	fresh       bool   // it had not heard of this stream
}

// greet is the dialer's side; hello.nonce is filled in here. toID is the id that the answering node must have.
func greet(conn net.Conn, br *bufio.Reader, key []byte, hello greeting, toID string) (welcome, error) {
	hello.nonce = newNonce()
	said := hello.append(nil)
	if _, err := conn.Write(appendFrame(nil, kindHello, 0, said, nil)); err != nil {
		return welcome{}, err
	}
	body, _, err := expect(br, kindChallenge)
	if err != nil {
		return welcome{}, err
	}
	answer, mac, err := parseGreeting(body)
	if err != nil {
		return welcome{}, err
	}
	challenge := body[:len(body)-len(mac)]
	if !hmac.Equal(mac, proof(key, "accept", said, challenge)) {
		return welcome{}, errProof
	}
	if answer.name != hello.to || answer.id != toID || answer.cluster != hello.cluster {
		return welcome{}, fmt.Errorf("node %q, id %q, of cluster %q answered", answer.name, answer.id, answer.cluster)
	}
	if _, err := conn.Write(appendFrame(nil, kindProof, 0, proof(key, "dial", said, challenge), nil)); err != nil {
		return welcome{}, err
	}
	body, last, err := expect(br, kindWelcome)
	return welcome{answer.incarnation, last, len(body) > 0 && body[0] != 0}, err
}

// challenge is the acceptor's side, up to the point where the dialer has proved who it is; the welcome is the caller's.
func challenge(conn net.Conn, br *bufio.Reader, key []byte, self identity, allowed func(greeting) error) (greeting, error) {
	hello, _, err := expect(br, kindHello)
	if err != nil {
		return greeting{}, err
	}
	from, rest, err := parseGreeting(hello)
	switch {
	case err != nil:
		return from, err
	case len(rest) != 0:
		return from, errors.New("hello is too long")
	case from.cluster != self.cluster:
		return from, refuse(conn, "node "+self.name+" is in another cluster")
	case from.to != self.name:
		return from, refuse(conn, "this is node "+self.name)
	}
	if err := allowed(from); err != nil {
		return from, refuse(conn, err.Error())
	}
	mine := greeting{identity: self, nonce: newNonce(), to: from.name}.append(nil)
	if _, err := conn.Write(appendFrame(nil, kindChallenge, 0, mine, proof(key, "accept", hello, mine))); err != nil {
		return from, err
	}
	mac, _, err := expect(br, kindProof)
	if err != nil {
		return from, err
	}
	if !hmac.Equal(mac, proof(key, "dial", hello, mine)) {
		return from, refuse(conn, errProof.Error())
	}
	return from, nil
}

// refuse sends the dialer the reason, and returns it as an error.
func refuse(conn net.Conn, reason string) error {
	_, err := conn.Write(appendFrame(nil, kindRefuse, 0, []byte(reason), nil))
	return errors.Join(&RefusedError{reason}, err)
}

// expect reads a frame of the handshake.
func expect(br *bufio.Reader, want byte) (body []byte, seq uint64, err error) {
	kind, seq, body, err := readFrame(br, nil, maxHandshake)
	switch {
	case err != nil:
		return nil, 0, err
	case kind == kindRefuse:
		return nil, 0, &RefusedError{fmt.Sprintf("%.200q", body)}
	case kind != want:
		return nil, 0, fmt.Errorf("frame of kind %#x in a handshake, want %#x", kind, want)
	}
	return body, seq, nil
}
