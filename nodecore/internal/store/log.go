package store

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// The format of a file: fileMagic, then records. A record is recordMagic, the length of its payload (4 bytes), its CRC-32C (4 bytes) and
// the payload: one change after the other. A change is its bucket, with flagDelete if it deletes, the length of the key, the key, and,
// unless it deletes, the length of the value, and the value. Lengths in changes are varints.
const (
	fileMagic   = "onemore\x01"
	recordMagic = "\xf1rec"
	recordHead  = len(recordMagic) + 8
	flagDelete  = 0x80
)

// castagnoli is made when it is used: a command that only links this pays nothing for it.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// beginRecord appends the head of a record, which endRecord completes when the payload has been appended.
func beginRecord(b []byte) []byte {
	b = append(b, recordMagic...)
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0)
}

func endRecord(b []byte, begin int) {
	payload := b[begin+recordHead:]
	head := b[begin+len(recordMagic):]
	binary.LittleEndian.PutUint32(head, uint32(len(payload)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(payload, castagnoli()))
}

func appendChange(b []byte, k key, value []byte) []byte {
	if value == nil {
		b = append(b, byte(k.bucket)|flagDelete)
	} else {
		b = append(b, byte(k.bucket))
	}
	b = binary.AppendUvarint(b, uint64(len(k.id)))
	b = append(b, k.id...)
	if value == nil {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

// eachChange calls each for the changes of a payload; the value, nil for a deletion, is part of it. False if it is malformed.
func eachChange(b []byte, each func(k key, value []byte)) bool {
	take := func() ([]byte, bool) {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return nil, false
		}
		v := b[size : size+int(n)]
		b = b[size+int(n):]
		return v, true
	}
	for len(b) > 0 {
		kind := b[0]
		b = b[1:]
		id, ok := take()
		if !ok {
			return false
		}
		k := key{bucket(kind &^ flagDelete), string(id)}
		if kind&flagDelete != 0 {
			each(k, nil)
			continue
		}
		value, ok := take()
		if !ok {
			return false
		}
		each(k, value)
	}
	return true
}

// cutRecord takes the first record off what was read of a file; ok is false if there is no whole one.
func cutRecord(b []byte) (payload, rest []byte, ok bool) {
	if len(b) < recordHead || string(b[:len(recordMagic)]) != recordMagic {
		return nil, nil, false
	}
	n := binary.LittleEndian.Uint32(b[len(recordMagic):])
	if uint64(n) > uint64(len(b)-recordHead) {
		return nil, nil, false
	}
	payload = b[recordHead : recordHead+int(n)]
	if crc32.Checksum(payload, castagnoli()) != binary.LittleEndian.Uint32(b[len(recordMagic)+4:]) {
		return nil, nil, false
	}
	return payload, b[recordHead+int(n):], true
}

// scan calls each for all changes in the content of a file, and returns the length of its sound beginning. damaged says that
// something is missing that was there: a record that can't be read, and is not just the end of a last write that was cut off.
func scan(b []byte, each func(k key, value []byte)) (sound int, damaged bool) {
	rest, ok := bytes.CutPrefix(b, []byte(fileMagic))
	if !ok {
		return 0, len(b) >= len(fileMagic) || !bytes.HasPrefix([]byte(fileMagic), b)
	}
	sound = len(fileMagic)
	for len(rest) > 0 {
		payload, after, ok := cutRecord(rest)
		if ok && eachChange(payload, each) {
			if rest = after; !damaged {
				sound = len(b) - len(rest)
			}
			continue
		}
		next := nextRecord(rest[1:])
		if next == nil {
			return sound, damaged || !cutOff(rest)
		}
		rest, damaged = next, true
	}
	return sound, damaged
}

// cutOff says whether b can be a record of which the end was not written.
func cutOff(b []byte) bool {
	if len(b) < recordHead {
		return bytes.HasPrefix(b, []byte(recordMagic)) || bytes.HasPrefix([]byte(recordMagic), b)
	}
	return bytes.HasPrefix(b, []byte(recordMagic)) && uint64(binary.LittleEndian.Uint32(b[len(recordMagic):])) > uint64(len(b)-recordHead)
}

// nextRecord finds the next whole record.
func nextRecord(b []byte) []byte {
	for {
		i := bytes.Index(b, []byte(recordMagic))
		if i < 0 {
			return nil
		}
		if _, _, ok := cutRecord(b[i:]); ok {
			return b[i:]
		}
		b = b[i+1:]
	}
}
