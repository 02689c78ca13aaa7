package peer

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// A frame on the wire is the length of the body (4 bytes), the kind (1), the sequence number (8), the body.
const headerLen = 13

// The links' own kinds. The first four have no sequence number.
const (
	kindHello     = KindOwn + iota // dialer → acceptor: who I am, and a nonce
	kindChallenge                  // acceptor → dialer: who I am, a nonce, my proof
	kindProof                      // dialer → acceptor: my proof
	kindWelcome                    // acceptor → dialer: seq is the last frame of yours that I have handled
	kindRefuse                     // acceptor → dialer: the reason why not
	kindAck                        // acceptor → dialer: all up to seq are handled; the senders of those in the body are to wait
	kindSkip                       // dialer → acceptor: frames up to seq won't come
	kindResume                     // acceptor → dialer: the senders of the frames in the body needn't wait any more
)

// maxHandshake bounds what is read from somebody who has proved nothing yet.
const maxHandshake = 2048

// appendFrame appends a frame to b; its body comes in two parts.
func appendFrame(b []byte, kind byte, seq uint64, head, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)+len(body)))
	b = append(b, kind)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = append(b, head...)
	return append(b, body...)
}

// readFrame reads a frame whose body is at most limit bytes, into buf when it fits there.
func readFrame(r *bufio.Reader, buf []byte, limit int) (kind byte, seq uint64, body []byte, err error) {
	head, err := r.Peek(headerLen)
	if err != nil {
		return 0, 0, nil, err
	}
	size := int(binary.BigEndian.Uint32(head))
	kind, seq = head[4], binary.BigEndian.Uint64(head[5:])
	r.Discard(headerLen) // they are there
	if size > limit {
		return 0, 0, nil, fmt.Errorf("frame of %d bytes, at most %d are allowed", size, limit)
	}
	if size > cap(buf) {
		buf = make([]byte, size)
	}
	body = buf[:size]
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, 0, nil, err
	}
	return kind, seq, body, nil
}

// appendNumbers appends sequence numbers.
func appendNumbers(b []byte, all []uint64) []byte {
	for _, n := range all {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// numbers reads what appendNumbers wrote.
func numbers(b []byte) (all []uint64) {
	for ; len(b) >= 8; b = b[8:] {
		all = append(all, binary.BigEndian.Uint64(b))
	}
	return all
}

// appendString appends a length-prefixed string.
func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// cutString takes a length-prefixed string off b.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return "", nil, false
	}
	return string(b[k : k+int(n)]), b[k+int(n):], true
}
