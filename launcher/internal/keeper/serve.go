package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"
	"time"

	"onemore/launcher/internal/control"
)

// accept serves every client until the socket is closed.
func (k *Keeper) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, perhaps: goes on once there are some, since nobody could reach the cluster otherwise
			k.log.Error("accept a client", "err", err)
			if !waited(k.life, acceptPause) {
				return
			}
			continue
		}
		k.background.Go(func() { k.serve(conn) })
	}
}

const acceptPause = 100 * time.Millisecond

// waited reports whether the time passed without an end of ctx.
func waited(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// serve answers one connection: a request, then the next, until the client is gone or the keeper ends; a client that waits for the
// operation lock then gets control.ErrBusy, so that it asks the next keeper.
func (k *Keeper) serve(conn net.Conn) {
	k.connected()
	defer k.disconnected()
	var reader sync.WaitGroup
	defer reader.Wait()
	defer conn.Close()
	stop := context.AfterFunc(k.life, func() { closeRead(conn) })
	defer stop()
	out := &replies{conn: conn, enc: json.NewEncoder(conn)}
	reqs := make(chan control.Request)
	gone, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	reader.Go(func() {
		defer close(reqs)
		dec := json.NewDecoder(conn)
		for {
			var req control.Request
			if err := dec.Decode(&req); err != nil {
				cancel(control.ErrInterrupted)
				return
			}
			select {
			case reqs <- req:
			case <-gone.Done():
				return
			}
		}
	})
	owner := false
	for req := range reqs {
		k.noteRequest()
		if req.Op == control.OpDisown && owner {
			owner = false
			k.forgetOwner()
			out.end(nil, nil)
			continue
		}
		st, err := k.do(gone, req, out.event)
		if req.Own && err == nil && !owner {
			owner = true
			k.own()
		}
		out.end(st, err)
		if req.Op == control.OpDown && err == nil {
			return
		}
	}
	if owner {
		k.disown()
	}
}

// disown ends a connection's being an owner. The last owner's end takes the cluster down; a keeper that is ended before its owners
// have gone does so, too: close.
func (k *Keeper) disown() {
	k.mu.Lock()
	last := k.owners == 1
	if !last {
		k.owners--
	}
	k.mu.Unlock()
	if !last {
		return
	}
	_, err := k.do(context.Background(), control.Request{Op: control.OpDown, From: "(its owner has gone)"}, func(control.Event) {})
	if err == nil || k.life.Err() != nil {
		return
	}
	k.log.Error("take the cluster down", "err", err)
	k.mu.Lock()
	k.owners--
	k.mu.Unlock()
}

// closeRead makes the client's next request its end; answers can still be written.
func closeRead(conn net.Conn) {
	if c, ok := conn.(interface{ CloseRead() error }); ok {
		_ = c.CloseRead()
		return
	}
	_ = conn.Close()
}

// replies writes to one client. A client that has gone is no error; one that stands still, stopped with Ctrl-Z, must not
// hold up the cluster: it is given up after replyTimeout.
type replies struct {
	mu    sync.Mutex // lets one reply at a time be written: it is held while writing, for replyTimeout at most
	conn  net.Conn
	enc   *json.Encoder
	ended bool // nothing more can be written
}

const replyTimeout = 10 * time.Second

func (r *replies) event(e control.Event) { r.write(control.Reply{Event: &e}) }

func (r *replies) write(rep control.Reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	err := r.conn.SetWriteDeadline(time.Now().Add(replyTimeout))
	if err == nil {
		err = r.enc.Encode(rep)
	}
	r.ended = err != nil
}

func (r *replies) end(st *control.Status, err error) {
	rep := control.Reply{Done: true, Status: st}
	if err != nil {
		rep.Error = control.AsError(err)
	}
	r.write(rep)
}
