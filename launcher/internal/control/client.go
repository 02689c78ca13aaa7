package control

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
)

// Client is one connection to a keeper; it carries one request at a time.
type Client struct {
	conn net.Conn
	r    *bufio.Reader
	mu   sync.Mutex // lets one request at a time use the connection: it is held until its end
}

// NewClient speaks over an open connection, which it then owns.
func NewClient(conn net.Conn) *Client { return &Client{conn: conn, r: bufio.NewReader(conn)} }

// Do sends one request and calls onEvent (may be nil) for every event until the end. Cancelling ctx closes the
// sending side, which cancels the request in the keeper; Do still waits for its end: what was undone. Close ends that, too.
func (c *Client) Do(ctx context.Context, req Request, onEvent func(Event)) (*Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { c.CloseWrite() })
	defer stop()
	// A keeper that ended before it read the request has said why: that is read even when nothing can be sent any more.
	sent := json.NewEncoder(c.conn).Encode(req)
	for heard := false; ; heard = true {
		line, err := c.r.ReadBytes('\n')
		if err != nil {
			return nil, c.lost(ctx, req.Op, heard, cmp.Or(sent, err))
		}
		var rep Reply
		if err := json.Unmarshal(line, &rep); err != nil {
			return nil, fmt.Errorf("read the keeper's answer to %s: %w", req.Op, err)
		}
		switch {
		case rep.Event != nil:
			if onEvent != nil {
				onEvent(*rep.Event)
			}
		case rep.Error != nil && rep.Error.Busy:
			return nil, ErrBusy
		case rep.Error != nil:
			return rep.Status, rep.Error
		case rep.Done:
			return rep.Status, nil
		}
	}
}

// CloseWrite lets the keeper see that the client has gone: the request is cancelled. The reply can still be read, which says what was undone.
func (c *Client) CloseWrite() {
	if cw, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = cw.CloseWrite()
		return
	}
	_ = c.conn.Close()
}

func (c *Client) lost(ctx context.Context, op Op, heard bool, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		how := ErrUnheard
		if heard {
			how = ErrLost
		}
		return fmt.Errorf("%w during %s", how, op)
	}
	return fmt.Errorf("talk to the keeper during %s: %w", op, err)
}

// Gone returns a channel that is closed when the keeper ends the connection, which it does not before it ends itself. No
// request may follow.
func (c *Client) Gone() <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c.mu.Lock()
		defer c.mu.Unlock()
		_, _ = io.Copy(io.Discard, c.r)
	}()
	return gone
}

// Dismiss ends a keeper that was asked nothing, and waits for its end.
func (c *Client) Dismiss() {
	c.CloseWrite()
	<-c.Gone()
	_ = c.Close()
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }
