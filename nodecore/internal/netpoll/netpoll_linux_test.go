package netpoll

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection of a poller, with a token in ready whenever it may be read, and the other end of it.
func pair(t *testing.T) (c *Conn, ready chan struct{}, other net.Conn) {
	t.Helper()
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan *Conn, 1)
	if err := p.Listen(l.(syscall.Conn), func(c *Conn) { accepted <- c }, func(err error, _ func()) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	if other, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	c, ready = <-accepted, make(chan struct{}, 1)
	err = c.Start(func() {
		select {
		case ready <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(other.Close(), c.Close(), c.Close(), l.Close(), p.Close()); err != nil {
			t.Error(err)
		}
	})
	return c, ready, other
}

// readAll reads n bytes, waiting as often as is needed.
func readAll(t *testing.T, c *Conn, ready chan struct{}, n int) (all []byte) {
	t.Helper()
	buf := make([]byte, 4096)
	for len(all) < n {
		k, err := c.Read(buf)
		if errors.Is(err, ErrAgain) {
			<-ready
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, buf[:k]...)
	}
	return all
}

func TestReadAndWrite(t *testing.T) {
	c, ready, other := pair(t)
	if c.RemoteAddr().String() != other.LocalAddr().String() || c.LocalAddr().String() != other.RemoteAddr().String() {
		t.Errorf("from %v to %v, want from %v to %v", c.RemoteAddr(), c.LocalAddr(), other.LocalAddr(), other.RemoteAddr())
	}
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, ErrAgain) {
		t.Fatalf("%d, %v", n, err)
	}
	for range 100 {
		if _, err := other.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, c, ready, 5); string(got) != "hello" {
			t.Fatalf("%q", got)
		}
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // more than the kernel takes at once, either way
	var wg sync.WaitGroup
	wg.Go(func() { other.Write(large) })
	if !bytes.Equal(readAll(t, c, ready, len(large)), large) {
		t.Error("other bytes came than were sent")
	}
	wg.Go(func() {
		if _, err := c.Write(large); err != nil {
			t.Error(err)
		}
	})
	got := make([]byte, len(large))
	if _, err := io.ReadFull(other, got); err != nil || !bytes.Equal(got, large) {
		t.Errorf("other bytes came than were sent: %v", err)
	}
	wg.Wait()
}

// What comes before the end is read, and then the end, though both came at once.
func TestEnd(t *testing.T) {
	c, ready, other := pair(t)
	other.Write([]byte("last words"))
	other.(*net.TCPConn).CloseWrite()
	if got := readAll(t, c, ready, 10); string(got) != "last words" {
		t.Errorf("%q", got)
	}
	for {
		_, err := c.Read(make([]byte, 100))
		if errors.Is(err, io.EOF) {
			return
		}
		if !errors.Is(err, ErrAgain) {
			t.Fatal(err)
		}
		<-ready
	}
}

func TestDeadlines(t *testing.T) {
	c, ready, _ := pair(t)
	c.SetReadDeadline(time.Now().Add(time.Hour))
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) // an earlier one counts at once
	for {
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if !errors.Is(err, ErrAgain) {
			t.Fatal(err)
		}
		<-ready
	}
	c.SetReadDeadline(time.Time{})
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, ErrAgain) {
		t.Errorf("without a deadline: %v", err)
	}
	c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := c.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody reads: %v", err)
	}
}

// Close ends a Write that waits, and says so to those who wait for something to read.
func TestCloseWakes(t *testing.T) {
	c, ready, other := pair(t)
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, 64<<20))
		wrote <- err
	}()
	if _, err := io.ReadFull(other, make([]byte, 1<<20)); err != nil { // it is under way
		t.Fatal(err)
	}
	c.Close()
	if err := <-wrote; !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	<-ready
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
}
