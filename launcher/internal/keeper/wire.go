package keeper

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
	"time"

	"onemore/launcher/internal/plan"
)

// Op names one request. Requests and replies are JSON, one a line; closing the connection cancels the request.
type Op string

// The operations of a keeper. Those that change something wait for each other; Look, Hold and Wait don't.
const (
	OpUp       Op = "up"       // bring Nodes of Plan to running, making those that don't exist
	OpDown     Op = "down"     // stop all; remove all unless KeepData; the keeper ends
	OpRemove   Op = "remove"   // Nodes leave, stop and are removed; Plan is the cluster without them
	OpStop     Op = "stop"     //
	OpStart    Op = "start"    //
	OpRestart  Op = "restart"  // Rolling: one after the other
	OpKill     Op = "kill"     // SIGKILL, nothing else
	OpPause    Op = "pause"    // SIGSTOP to the whole family
	OpResume   Op = "resume"   //
	OpStatus   Op = "status"   // looks, changes nothing
	OpHold     Op = "hold"     // nothing but Own
	OpSettle   Op = "settle"   // waits until every running node sees all running ones
	OpUpgrade  Op = "upgrade"  // one node at a time gets its directory and command from Plan; Rollback: what it had before
	OpFault    Op = "fault"    // makes the faults of the network those of Faults
	OpSnapshot Op = "snapshot" // copies all nodes' directories, which stand still meanwhile, to the folder Snapshot
	OpRestore  Op = "restore"  // makes the cluster of the folder Snapshot, and starts its nodes
)

// Request is what a client asks of a keeper.
type Request struct {
	Op       Op              `json:"op"`
	From     string          `json:"from,omitempty"`    // who asks, for others that wait: "up (pid 123)"
	Options  json.RawMessage `json:"options,omitempty"` // the launcher's own record of what was asked for; kept, never read
	Plan     *plan.Plan      `json:"plan,omitempty"`
	Revision int             `json:"revision,omitempty"` // of the record that Plan was made from; 0: there was none
	Nodes    []int           `json:"nodes,omitempty"`    // empty: all
	// Own hangs the cluster on this connection, from the end of the request on: when the last such connection closes,
	// the keeper takes the cluster down.
	Own      bool          `json:"own,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"`
	KeepData bool          `json:"keep_data,omitempty"` // OpDown: leave directories
	Keep     bool          `json:"keep,omitempty"`      // OpUp: leave everything for debugging when it fails
	Rolling  bool          `json:"rolling,omitempty"`
	Rollback bool          `json:"rollback,omitempty"`
	Faults   *FaultChange  `json:"faults,omitempty"`
	Groups   bool          `json:"groups,omitempty"`   // OpUp: the server can't break its network itself; the kernel is to be able to
	Snapshot string        `json:"snapshot,omitempty"` // absolute
}

// Reply is one line from a keeper: an event, or the end.
type Reply struct {
	Event  *Event  `json:"event,omitempty"`
	Done   bool    `json:"done,omitempty"`
	Status *Status `json:"status,omitempty"`
	Error  *Error  `json:"error,omitempty"`
}

// Event is one step of one node, or of the cluster (Node 0).
type Event struct {
	Time    time.Time `json:"time"`
	Node    int       `json:"node,omitempty"`
	Phase   string    `json:"phase"` // "copying", "starting", "ready", "joined", "members", "stopping", "stopped", "removed", "waiting", …
	Text    string    `json:"text,omitempty"`
	Members int       `json:"members,omitempty"`
	Of      int       `json:"of,omitempty"`
}

// Error is why an operation failed, with the evidence. It crosses the socket as it is.
type Error struct {
	Node        int       `json:"node,omitempty"`
	Name        string    `json:"name,omitempty"`  // of the node
	Phase       string    `json:"phase,omitempty"` // what was being done
	Why         string    `json:"why"`
	Log         []string  `json:"log,omitempty"`  // the last, or the telling, lines
	Logs        string    `json:"logs,omitempty"` // where the logs were kept
	Hint        string    `json:"hint,omitempty"`
	Clash       bool      `json:"clash,omitempty"` // a port was leased or taken since the plan was made
	Taken       plan.Port `json:"taken,omitzero"`  // that port
	Stale       bool      `json:"stale,omitempty"` // the cluster has changed since the plan was made
	Busy        bool      `json:"busy,omitempty"`  // another keeper has the cluster
	Interrupted bool      `json:"interrupted,omitempty"`
	Undone      bool      `json:"undone,omitempty"` // what was begun is as if it had never been
}

func (e *Error) Error() string {
	switch {
	case e.Name != "" && e.Phase != "":
		return fmt.Sprintf("node %s, %s: %s", e.Name, e.Phase, e.Why)
	case e.Phase != "":
		return e.Phase + ": " + e.Why
	}
	return e.Why
}

// ErrBusy is returned by Client.Do when the keeper that was spawned found another one in charge.
var ErrBusy = errors.New("another keeper runs this cluster")

// ErrLost says that the keeper died, or was killed, while it was asked; ErrUnheard, which wraps it, that it had not said
// anything yet, as one that ends at this moment does: the next one can be asked the same.
var (
	ErrLost    = errors.New("the keeper went away")
	ErrUnheard = fmt.Errorf("%w before it answered", ErrLost)
)

// Client is one connection to a keeper; it carries one request at a time.
type Client struct {
	conn net.Conn
	r    *bufio.Reader
	mu   sync.Mutex
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

// CloseWrite tells the keeper that the client has gone, and still lets its last words be read: what was undone.
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
