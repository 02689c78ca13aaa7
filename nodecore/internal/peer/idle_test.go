package peer

import (
	"net"
	"sync"
	"testing"
)

// A link on which nothing is sent is down as soon as a fault cuts it, at both ends.
func TestIdleLinkIsCut(t *testing.T) {
	a, b := pair(t, nil)
	a.Connect("b")
	b.Connect("a")
	eventually(t, "up", func() bool { return a.Up("b") && b.Up("a") })
	a.fault(map[string]Fault{"b": {Blocked: true}})
	a.FaultsChanged()
	eventually(t, "down", func() bool { return !a.Up("b") && !b.Up("a") })
	a.fault(nil)
	eventually(t, "up again", func() bool { return a.Up("b") && b.Up("a") })
}

// A link on which nothing is sent goes down once membership misses the peer, though its end of the connection was never closed, as that
// of a host that is gone.
func TestIdleLinkToLostHost(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil)
	relay, lost := listen(t, "127.0.0.1:0"), make(chan struct{})
	var wg sync.WaitGroup
	pass := func(to, from net.Conn) {
		defer wg.Done()
		buf := make([]byte, 4096)
		for {
			n, err := from.Read(buf)
			select {
			case <-lost:
				return
			default:
			}
			if err != nil {
				return
			}
			to.Write(buf[:n])
		}
	}
	wg.Go(func() {
		for {
			in, err := relay.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", b.addr)
			if err != nil {
				return
			}
			t.Cleanup(func() { in.Close(); out.Close() })
			wg.Add(2)
			go pass(in, out)
			go pass(out, in)
		}
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { relay.Close() })
	p := b.peer()
	p.Addr = relay.Addr().String()
	a.SetPeers([]Peer{p})
	a.Connect("b")
	eventually(t, "up", func() bool { return a.Up("b") })
	close(lost)
	p.Alive = false
	a.SetPeers([]Peer{p})
	eventually(t, "not up", func() bool { return !a.Up("b") })
}
