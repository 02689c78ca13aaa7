package member

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// What one node asks another on a control stream.
const (
	opJoin   = "join"   // let me in: I have no members, or am leaving them
	opHello  = "hello"  // I am a member that lost sight of you
	opReady  = "ready"  // follows join and hello: I am in the gossip, tell the others
	opList   = "list"   // whom do you see running?
	opRemove = "remove" // these ids are no members any more
	opWatch  = "watch"  // keep this stream open as long as you live
)

// protocolVersion is what this node speaks on control streams. A node understands
// the version before its own:
//
//	1: a joining node exchanges its gossip state before it is ready
//	2: the answer to opReady of a joining node names all running members
const protocolVersion = 2

// dialTime bounds the opening of a control stream to a node that may be gone
// without closing its connections, or paused.
const dialTime = time.Second

// request is a message from the node that dialed.
type request struct {
	Version int        `json:"version,omitempty"` // of the protocol that the asking node speaks; 0 is 1
	Op      string     `json:"op"`
	From    Member     `json:"from"`
	Cluster string     `json:"cluster,omitempty"` // of the asking node
	Known   rosterData `json:"known,omitzero"`    // hello, remove
}

// reply answers a request. A Code other than "" is a refusal.
type reply struct {
	Version int        `json:"version,omitempty"` // of the answering node
	Code    Code       `json:"code,omitempty"`
	Text    string     `json:"text,omitempty"`
	From    Member     `json:"from"`
	Cluster string     `json:"cluster,omitempty"`
	Known   rosterData `json:"known,omitzero"`    // join, hello, ready after join
	Running []string   `json:"running,omitempty"` // list, and ready after join: ids
	Holders []string   `json:"holders,omitempty"` // join, hello: see Config.Holders
}

// peerLink is a control stream to a node, with the name to use in errors.
type peerLink struct {
	*channel
	name    string
	release func() bool
}

// talk opens a control stream to a node; ctx bounds all of its use.
func (ms *membership) talk(ctx context.Context, name, addr string) (*peerLink, error) {
	if len(ms.cfg.Secret) == 0 {
		return nil, refuse(CodeOpen, "this node has no cluster.secret, so it can't join others")
	}
	if name == "" { // of a nameless seed
		name = addr
	}
	dctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := ms.port.dial(dctx, name, addr)
	if err != nil {
		return nil, err
	}
	during := boundBy(dctx, conn)
	ch, err := handshakeClient(conn, ms.cfg.Secret)
	if err == nil && !during() {
		err = dctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prove secret to %q at %s: %w", name, addr, err), conn.Close())
	}
	return &peerLink{channel: ch, name: name, release: boundBy(ctx, conn)}, nil
}

func (l *peerLink) done() {
	l.release()
	// Nothing is lost with a stream that is no longer needed.
	_ = l.close()
}

// ask sends a request and returns the answer, refusals as errors.
func (l *peerLink) ask(r request) (reply, error) {
	if err := l.send(r); err != nil {
		return reply{}, fmt.Errorf("ask %q to %s: %w", l.name, r.Op, err)
	}
	var a reply
	if err := l.receive(&a); err != nil {
		return reply{}, fmt.Errorf("ask %q to %s: %w", l.name, r.Op, err)
	}
	if a.Code != "" {
		return a, &Refusal{Code: a.Code, Text: a.Text}
	}
	return a, nil
}

// request is a request in the name of this node as it is now.
func (ms *membership) request(op string) request {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return request{Version: ms.cfg.version, Op: op, From: ms.selfLocked(), Cluster: ms.st.Cluster}
}

// askOnce opens a stream for a single question.
func (ms *membership) askOnce(ctx context.Context, m Member, r request) (reply, error) {
	l, err := ms.talk(ctx, m.Name, m.Addr)
	if err != nil {
		return reply{}, err
	}
	defer l.done()
	return l.ask(r)
}

// askAll asks every other running member the same, and returns one error per
// member that failed or that check rejects.
func (ms *membership) askAll(ctx context.Context, v View, r request, check func(Member, reply) error) []error {
	var wg sync.WaitGroup
	errs := make([]error, len(v.Running))
	slots := make(chan struct{}, 2*pushPullWorkers)
	for i, m := range v.Running {
		if m.ID == v.Self.ID {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			a, err := ms.askOnce(ctx, m, r)
			if connectionRefused(err) {
				if gs, _ := ms.current(); gs != nil {
					gs.markEnded(m) // so it is not running, and won't be asked again
				}
			}
			if err == nil {
				err = check(m, a)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return errs
}

// reconnect tells a member that this node is here again, and exchanges state with
// it. met, if set, gets the answer; if it returns false, there is no exchange.
func (ms *membership) reconnect(ctx context.Context, m Member, met func(reply) bool) error {
	gs, ros := ms.current()
	l, err := ms.talk(ctx, m.Name, m.Addr)
	if err != nil {
		return err
	}
	defer l.done()
	r := ms.request(opHello)
	r.Known = ros.data()
	a, err := l.ask(r)
	switch {
	case refused(err, CodeRemoved), refused(err, CodeDeparted), err == nil:
		if ros.merge(a.Known) {
			ms.changed()
		}
	}
	if err != nil {
		return err
	}
	if met != nil && !met(a) {
		return nil
	}
	// In the first exchange each side learns that the other takes it for dead and
	// refutes it; the second carries the refutations.
	if err := errors.Join(gs.pushPull(a.From), gs.pushPull(a.From)); err != nil {
		return err
	}
	ms.log.Info("reconnected to member", "member", m.Name)
	_, err = l.ask(ms.request(opReady))
	return err
}

// connectionRefused reports whether a dial error proves that no process listens at
// the address, as opposed to a network that is slow or cut.
func connectionRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
