package nodecore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// controlSocket in the data directory is where ctl talks to the node.
	controlSocket = "ctl.sock"
	// controlSize bounds a request.
	controlSize = 64 << 10
	// controlReadTime is how long a caller may take to say what it wants, and
	// likewise to read the answer.
	controlReadTime = 5 * time.Second
	// controlAnswerTime is how long Control waits for an answer that the node has
	// at hand, and controlChangeTime for a change of clusters, which the node
	// itself bounds by less.
	controlAnswerTime = 5 * time.Second
	controlChangeTime = 60 * time.Second
)

// What ctl can ask a node to do.
const (
	OpStatus     = "status"
	OpJoin       = "join"
	OpLeave      = "leave"
	OpForceLeave = "force-leave"
	OpFaultSet   = "fault-set"
	OpFaultClear = "fault-clear"
	OpFaultList  = "fault-list"
)

// ControlRequest is one command for a running node.
type ControlRequest struct {
	Op     string `json:"op"`
	Target string `json:"target,omitempty"` // join: NAME@HOST[:PORT]; others: NAME@HOST
	Fault  Fault  `json:"fault,omitzero"`
}

// ControlReply is the node's answer. An Error other than "" means that it was not done.
type ControlReply struct {
	Error  string  `json:"error,omitempty"`
	Status *Status `json:"status,omitempty"`
	Faults []Fault `json:"faults"` // after a command about faults: all there are then
}

// NotRunningError means that no node answers in a data directory.
type NotRunningError struct {
	Dir string
	Err error
}

func (e *NotRunningError) Error() string {
	return fmt.Sprintf("no node is running in %q: %v", e.Dir, e.Err)
}

func (e *NotRunningError) Unwrap() error { return e.Err }

// answerTime is how long the answer to a command may take.
func (r ControlRequest) answerTime() time.Duration {
	switch r.Op {
	case OpJoin, OpLeave, OpForceLeave:
		return controlChangeTime
	}
	return controlAnswerTime
}

// Control sends one command to the node that runs in a data directory. It gives
// up when the answer takes longer than the node may need.
func Control(ctx context.Context, dataDir string, req ControlRequest) (ControlReply, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, req.answerTime(), fmt.Errorf("no answer within %v: the node may be paused, or out of file descriptors", req.answerTime()))
	defer cancel()
	conn, err := dialSocket(ctx, filepath.Join(dataDir, controlSocket))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return ControlReply{}, &NotRunningError{Dir: dataDir, Err: err}
	}
	if err != nil {
		return ControlReply{}, fmt.Errorf("reach node in %q: %w", dataDir, err)
	}
	stop := context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0)) // fails only on a closed connection
	})
	defer stop()
	var reply ControlReply
	err = json.NewEncoder(conn).Encode(req)
	if err == nil {
		err = json.NewDecoder(conn).Decode(&reply)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return ControlReply{}, fmt.Errorf("command node in %q to %s: %w", dataDir, req.Op, err)
	}
	return reply, nil
}

// controlServer serves the control socket.
type controlServer struct {
	listener net.Listener
	log      *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// openControl opens the socket in the data directory; one that a dead process
// left is replaced, since the directory is locked.
func openControl(dataDir string, log *slog.Logger) (*controlServer, error) {
	path := filepath.Join(dataDir, controlSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	l, err := listenSocket(path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	c := &controlServer{listener: newSteadyListener(l, "control", log), log: log}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

func (c *controlServer) serve(answer func(context.Context, ControlRequest) ControlReply) {
	c.wg.Go(func() {
		for {
			conn, err := c.listener.Accept()
			if err != nil {
				return // it is closed
			}
			c.wg.Go(func() {
				if err := c.one(conn, answer); err != nil {
					c.log.Debug("serve control request", "error", err)
				}
			})
		}
	})
}

// one serves one request; the caller's hanging up, or close, ends it.
func (c *controlServer) one(conn net.Conn, answer func(context.Context, ControlRequest) ControlReply) error {
	defer conn.Close()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection
	})
	defer stop()
	if err := conn.SetReadDeadline(time.Now().Add(controlReadTime)); err != nil {
		return err
	}
	var req ControlRequest
	if err := json.NewDecoder(io.LimitReader(conn, controlSize)).Decode(&req); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	var gone sync.WaitGroup
	gone.Go(func() {
		var b [1]byte
		if _, err := conn.Read(b[:]); err != nil {
			cancel()
		}
	})
	reply := answer(ctx, req)
	err := conn.SetWriteDeadline(time.Now().Add(controlReadTime))
	if err == nil {
		err = json.NewEncoder(conn).Encode(reply)
	}
	cancel()
	gone.Wait()
	return err
}

func (c *controlServer) close() error {
	c.cancel()
	err := c.listener.Close()
	c.wg.Wait()
	return err
}

// answerControl does what ctl asks for.
func (n *Node) answerControl(ctx context.Context, r ControlRequest) ControlReply {
	var err error
	reply := ControlReply{}
	switch r.Op {
	case OpStatus:
	case OpJoin:
		err = n.Join(ctx, r.Target)
	case OpLeave:
		err = n.Leave(ctx)
	case OpForceLeave:
		err = n.ForceLeave(ctx, r.Target)
	case OpFaultSet:
		err = n.SetFault(r.Fault)
	case OpFaultClear:
		n.ClearFaults(r.Target)
	case OpFaultList:
	default:
		err = fmt.Errorf("unknown command %q", r.Op)
	}
	if err != nil {
		reply.Error = err.Error()
	}
	reply.Faults = n.Faults()
	s := n.Status()
	reply.Status = &s
	return reply
}

func discardLogger() *log.Logger { return log.New(io.Discard, "", 0) }
