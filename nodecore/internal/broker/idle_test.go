package broker

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

// A client that does nothing costs little, what it took to connect is not kept, and on Linux it has no goroutine.
func TestIdleClientIsCheap(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("clients have a goroutine each where there is no poller")
	}
	const clients, most = 500, 5 << 10 // bytes, the test's own side included
	c := newCluster(t, 1)
	used := func() int64 {
		runtime.GC()
		runtime.GC() // empties the pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	before, goroutines := used(), runtime.NumGoroutine()
	for i := range clients {
		c.raw(0, fmt.Sprint("idle", i), true)
	}
	if each := (used() - before) / clients; each > most {
		t.Errorf("a client takes %d bytes, want at most %d", each, most)
	} else {
		t.Logf("a client takes %d bytes", each)
	}
	if more := runtime.NumGoroutine() - goroutines; more > clients/4 {
		t.Errorf("%d goroutines for %d clients", more, clients)
	}
}

// Packets come in parts, many at once, and larger than what is read at once.
func TestInputInParts(t *testing.T) {
	c := newCluster(t, 1)
	sub, pub := c.raw(0, "sub", true), c.raw(0, "pub", true)
	sub.subscribe(0, "t")
	for part, sizes := range map[int][]int{
		1:       {0, 1, 100, 200},
		5000:    {0, 1, inputSize - 10, inputSize, inputSize + 1, allocAhead, 5 * allocAhead, 1 << 20},
		1 << 30: {3, 0, inputSize, 1 << 20, 1, 5 * allocAhead, 0},
	} {
		var all []byte
		for i, n := range sizes {
			all = appendPublish(all, &message{topic: "t", payload: bytes.Repeat([]byte{byte(i)}, n)}, delivery{}, 0, 4)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for chunk := range slices.Chunk(all, min(part, len(all))) {
				pub.write(chunk)
			}
		}()
		for i, n := range sizes {
			head, body := sub.read()
			if head>>4 != packets.Publish || !bytes.Equal(body[3:], bytes.Repeat([]byte{byte(i)}, n)) {
				t.Errorf("parts of %d: message %d of %d bytes came as %x with %d", part, i, n, head, len(body)-3)
			}
		}
		<-sent
	}
}
