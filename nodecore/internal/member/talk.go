package member

import (
	"context"
	"errors"
	"fmt"
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

// dialTime bounds the opening of a control stream to a node that may be gone
// without a trace, or stopped in its tracks.
const dialTime = time.Second

// request is a message from the node that dialed.
type request struct {
	Op      string `json:"op"`
	From    Member `json:"from"`
	Cluster string `json:"cluster,omitempty"` // of the asking node
	Known   notes  `json:"known,omitzero"`    // hello, remove
}

// reply answers a request. A Code other than "" is a refusal.
type reply struct {
	Code    Code     `json:"code,omitempty"`
	Text    string   `json:"text,omitempty"`
	From    Member   `json:"from"`
	Cluster string   `json:"cluster,omitempty"`
	Known   notes    `json:"known,omitzero"`    // join, hello
	Running []string `json:"running,omitempty"` // list: ids
}

// peerLink is a control stream to a node, with the name to use in errors.
type peerLink struct {
	*channel
	name    string
	release func() bool
}

// talk opens a control stream to a node; ctx bounds all of its use.
func (g *Group) talk(ctx context.Context, name, addr string) (*peerLink, error) {
	if len(g.cfg.Secret) == 0 {
		return nil, refuse(CodeOpen, "this node has no cluster.secret, so it can't join others")
	}
	dctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := g.port.dial(dctx, name, addr)
	if err != nil {
		return nil, err
	}
	during := boundBy(dctx, conn)
	ch, err := handshakeClient(conn, g.cfg.Secret)
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
func (g *Group) request(op string) request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return request{Op: op, From: g.selfLocked(), Cluster: g.st.Cluster}
}

// askOnce opens a stream for a single question.
func (g *Group) askOnce(ctx context.Context, m Member, r request) (reply, error) {
	l, err := g.talk(ctx, m.Name, m.Addr)
	if err != nil {
		return reply{}, err
	}
	defer l.done()
	return l.ask(r)
}

// nobodyThere tells whether a dial error proves that no process listens at
// the address, as opposed to a network that is slow or cut.
func nobodyThere(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
