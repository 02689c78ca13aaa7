package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// writer is the writing half of a connection. There is a goroutine only while something is written.
type writer struct {
	c       *conn
	writing atomic.Int32  // bits, see below
	written chan struct{} // closed by the last writer; see stopWriter
}

// Bits of writer.writing.
const (
	writerRuns  = 1 << iota // somebody writes; it stays so when nothing may be written any more
	writerAgain             // there is something new to write
	writerLast              // the reader has ended: the writer is to write what there is, and close written
	writerEnded             // nothing will be written any more
)

// outputs are those that no writer uses at the moment.
var outputs = sync.Pool{New: func() any { return new(output) }}

// kick has written what the session has for the client. It doesn't wait, and may be called with any lock held.
func (w *writer) kick() {
	for {
		was := w.writing.Load()
		switch {
		case was&writerAgain != 0:
			return
		case was&writerRuns != 0:
			if w.writing.CompareAndSwap(was, was|writerAgain) {
				return
			}
		case w.writing.CompareAndSwap(was, was|writerRuns):
			w.c.b.server.workers.run(task{w.c, true})
			return
		}
	}
}

// write writes what the session has for the client. There is one writer of a connection at a time.
func (w *writer) write() {
	out := outputs.Get().(*output)
	for {
		wrote, end := w.writeBatch(out)
		if end {
			w.endWriter()
			break
		}
		if !wrote && w.restWriter() {
			break
		}
	}
	if cap(out.buf) <= 2*batchBytes {
		outputs.Put(out)
	}
}

// writeBatch writes once; end says that the connection has ended by it.
func (w *writer) writeBatch(out *output) (wrote, end bool) {
	c := w.c
	c.s.outbox.fill(c, out, batchBytes)
	w.settle(out)
	var finalPacket bool
	out.buf, finalPacket = w.finalPacket(out.buf)
	if len(out.buf) > 0 {
		if !finalPacket {
			c.nc.SetWriteDeadline(time.Now().Add(writeTime))
		}
		if _, err := c.nc.Write(out.buf); err != nil {
			c.end(packets.CodeDisconnect)
			finalPacket = true
		}
	}
	if finalPacket {
		c.nc.Close() // ends the reader
	}
	return len(out.buf) > 0, finalPacket
}

// restWriter says whether the writer, which has nothing left to write, may end.
func (w *writer) restWriter() bool {
	for {
		was := w.writing.Load()
		switch {
		case was&writerAgain != 0:
			if w.writing.CompareAndSwap(was, was&^writerAgain) {
				return false
			}
		case was&writerLast != 0:
			close(w.written)
			return true
		case w.writing.CompareAndSwap(was, was&^writerRuns):
			return true
		}
	}
}

// endWriter is called by a writer after which nothing can be written.
func (w *writer) endWriter() {
	if was := w.writing.Or(writerEnded); was&writerLast != 0 {
		close(w.written)
	}
}

// stopWriter returns when nobody writes any more. The reader calls it, once.
func (w *writer) stopWriter() {
	w.written = make(chan struct{})
	for {
		was := w.writing.Load()
		switch {
		case was&writerEnded != 0:
			return
		case was&writerRuns == 0:
			if w.writing.CompareAndSwap(was, was|writerRuns|writerEnded) {
				return
			}
		case w.writing.CompareAndSwap(was, was|writerLast):
			<-w.written
			return
		}
	}
}

// settle waits until what the output promises is stored, and appends the acknowledgements. If it can't be stored, they say so, or
// the connection ends.
func (w *writer) settle(out *output) {
	c := w.c
	err := c.b.store.Wait(out.need)
	end := err != nil && out.gated
	for i := range out.acks {
		a := &out.acks[i]
		refusable := a.kind == packets.Puback || a.kind == packets.Pubrec
		if err != nil && refusable {
			a.reason = packets.ErrQuotaExceeded.Code
		}
		end = end || err != nil && !refusable || a.reason == packets.ErrQuotaExceeded.Code && c.version < 5
	}
	if end {
		out.buf = out.buf[:0]
		c.end(packets.ErrQuotaExceeded)
		return
	}
	for _, a := range out.acks {
		if a.kind == packets.Pubrec && a.reason >= packets.ErrUnspecifiedError.Code {
			c.s.inbox.refuse(a.id)
		}
		out.buf = appendAck(out.buf, a, c.version)
	}
}

// finalPacket appends the DISCONNECT; ok if the connection is closing.
func (w *writer) finalPacket(buf []byte) (b []byte, ok bool) {
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		return buf, false
	}
	why, _ := c.cause.(packets.Code)
	return encode(buf, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ReasonCode: why.Code, Properties: reasonString(c, why)}, c.version), true
}
