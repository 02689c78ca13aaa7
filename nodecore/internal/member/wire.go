package member

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// First byte of every stream on the cluster port.
const (
	streamGossip  = 'M' // then length and gossip name of the dialer, then memberlist's own stream
	streamControl = 'C' // then the handshake below
)

const (
	nonceSize = 32
	// maxFrame bounds one control message: a roster of maxMembers fits.
	maxFrame = 1 << 20
	// handshakeTime is all that a stranger gets to prove the secret.
	handshakeTime = 3 * time.Second
)

// controlMagic follows the first byte, so that two versions of the protocol
// can't mistake each other.
var controlMagic = []byte("om1")

// errSecret means that the other side could not prove that it has our secret.
var errSecret = errors.New("the shared secret differs")

// channel is an authenticated and encrypted control stream. One goroutine may
// use it at a time.
type channel struct {
	conn    net.Conn
	seal    cipher.AEAD
	open    cipher.AEAD
	sent    uint64
	recv    uint64
	scratch [4]byte
}

// mac derives keys and proofs; the label keeps their uses apart.
func mac(key []byte, label string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(label))
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// handshakeClient proves the secret to the node that was dialed, and has it
// prove it too. The secret itself never travels.
func handshakeClient(conn net.Conn, secret []byte) (*channel, error) {
	hello := append([]byte{streamControl}, controlMagic...)
	mine := make([]byte, nonceSize)
	rand.Read(mine) // never fails, by its contract
	if _, err := conn.Write(append(hello, mine...)); err != nil {
		return nil, fmt.Errorf("greet node: %w", err)
	}
	answer := make([]byte, nonceSize+sha256.Size)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, fmt.Errorf("read proof of node: %w", err)
	}
	theirs, proof := answer[:nonceSize], answer[nonceSize:]
	// Our own proof goes out even if theirs is wrong, so that they can log it.
	if _, err := conn.Write(mac(secret, "client proof", mine, theirs)); err != nil {
		return nil, fmt.Errorf("prove secret: %w", err)
	}
	if !hmac.Equal(proof, mac(secret, "server proof", mine, theirs)) {
		return nil, errSecret
	}
	return newChannel(conn, secret, mine, theirs, true)
}

// handshakeServer is the other half; the stream's first byte was read already.
func handshakeServer(conn net.Conn, secret []byte) (*channel, error) {
	hello := make([]byte, len(controlMagic)+nonceSize)
	if _, err := io.ReadFull(conn, hello); err != nil {
		return nil, fmt.Errorf("read greeting: %w", err)
	}
	if !bytes.Equal(hello[:len(controlMagic)], controlMagic) {
		return nil, errors.New("read greeting: not a control stream")
	}
	theirs := hello[len(controlMagic):]
	mine := make([]byte, nonceSize)
	rand.Read(mine) // never fails, by its contract
	if _, err := conn.Write(append(bytes.Clone(mine), mac(secret, "server proof", theirs, mine)...)); err != nil {
		return nil, fmt.Errorf("prove secret: %w", err)
	}
	proof := make([]byte, sha256.Size)
	if _, err := io.ReadFull(conn, proof); err != nil {
		return nil, fmt.Errorf("read proof of node: %w", err)
	}
	if !hmac.Equal(proof, mac(secret, "client proof", theirs, mine)) {
		return nil, errSecret
	}
	return newChannel(conn, secret, theirs, mine, false)
}

func newChannel(conn net.Conn, secret, client, server []byte, isClient bool) (*channel, error) {
	up, err := newAEAD(mac(secret, "client key", client, server))
	if err != nil {
		return nil, err
	}
	down, err := newAEAD(mac(secret, "server key", client, server))
	if err != nil {
		return nil, err
	}
	if isClient {
		return &channel{conn: conn, seal: up, open: down}, nil
	}
	return &channel{conn: conn, seal: down, open: up}, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make control cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make control cipher: %w", err)
	}
	return aead, nil
}

func nonce(n uint64) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[4:], n)
	return b
}

// send writes one message.
func (c *channel) send(v any) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode control message: %w", err)
	}
	if len(plain)+c.seal.Overhead() > maxFrame {
		return fmt.Errorf("send control message: %d bytes are too many", len(plain))
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(plain)+c.seal.Overhead()))
	frame = c.seal.Seal(frame, nonce(c.sent), plain, nil)
	c.sent++
	if _, err := c.conn.Write(frame); err != nil {
		return fmt.Errorf("send control message: %w", err)
	}
	return nil
}

// receive reads one message into v.
func (c *channel) receive(v any) error {
	if _, err := io.ReadFull(c.conn, c.scratch[:]); err != nil {
		return fmt.Errorf("receive control message: %w", err)
	}
	size := binary.BigEndian.Uint32(c.scratch[:])
	if size > maxFrame {
		return fmt.Errorf("receive control message: %d bytes are too many", size)
	}
	var frame bytes.Buffer // grows with what really arrives, not with what was announced
	if _, err := io.CopyN(&frame, c.conn, int64(size)); err != nil {
		return fmt.Errorf("receive control message: %w", err)
	}
	plain, err := c.open.Open(frame.Bytes()[:0], nonce(c.recv), frame.Bytes(), nil)
	if err != nil {
		return fmt.Errorf("receive control message: %w", err)
	}
	c.recv++
	if err := json.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("decode control message: %w", err)
	}
	return nil
}

func (c *channel) close() error { return c.conn.Close() }

// boundBy ends the connection's reads and writes when ctx does. The caller
// must call the returned function when it is done with the connection.
func boundBy(ctx context.Context, conn net.Conn) (release func() bool) {
	return context.AfterFunc(ctx, func() {
		// A deadline in the past wakes whoever reads or writes; it fails only on a closed connection.
		_ = conn.SetDeadline(time.Unix(1, 0))
	})
}
