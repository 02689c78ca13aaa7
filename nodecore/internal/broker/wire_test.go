package broker

import (
	"bufio"
	"encoding/binary"
	"io"
)

// readPacket reads one packet.
func readPacket(br *bufio.Reader, limit int) (head byte, body []byte, err error) {
	if head, err = br.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(br)
	if err == nil && n > uint64(limit) {
		err = io.ErrShortBuffer
	}
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(br, body)
	return head, body, err
}
