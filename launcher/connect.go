package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/state"
)

// answerTimeout bounds how long a keeper may take to show that it is there.
const answerTimeout = 10 * time.Second

// releaseTimeout bounds how long the end of an ownership waits for the cluster to go down.
const releaseTimeout = time.Minute

// keeperLink sends requests to a cluster's keeper.
type keeperLink struct {
	folder
	progress   func(Event)   // may be nil
	timeout    time.Duration // of one operation; 0: none
	began      time.Time     // when the operation's time began; zero: when its request is sent
	prestarted prestarted
}

// do sends one request, to a new keeper where none runs, and closes the connection.
func (l *keeperLink) do(ctx context.Context, req control.Request) (*Status, error) {
	cl, st, err := l.send(ctx, req)
	if cl != nil {
		cl.Close()
	}
	return st, err
}

// Ownership ties the life of a cluster to this process: when Release is called or the process dies, in whatever way, the keeper
// takes the cluster down, unless another process owns it too. nil is none.
type Ownership struct {
	release func()
	gone    <-chan struct{}
}

// Release ends the ownership and returns when the cluster is down.
func (o *Ownership) Release() {
	if o != nil {
		o.release()
	}
}

// lost reports whether the keeper has ended.
func (o *Ownership) lost() bool {
	if o == nil {
		return false
	}
	select {
	case <-o.gone:
		return true
	default:
		return false
	}
}

// hold sends one request and makes this process an owner of the cluster: there is no moment at which what the request did
// has no owner.
func (l *keeperLink) hold(ctx context.Context, req control.Request) (*Ownership, *Status, error) {
	req.Own = true
	cl, st, err := l.send(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	return owned(cl), st, nil
}

// owned is the ownership that a connection has whose request had Own.
func owned(cl *control.Client) *Ownership {
	gone := cl.Gone()
	release := func() {
		t := time.NewTimer(releaseTimeout)
		defer t.Stop()
		cl.CloseWrite() // the end of the last owner takes the cluster down; then the keeper ends the connection
		select {
		case <-gone:
		case <-t.C:
		}
		cl.Close()
		<-gone
	}
	return &Ownership{release: release, gone: gone}
}

// send sends one request, to a new keeper where none runs. The caller closes the connection; it is nil when there is an error.
func (l *keeperLink) send(ctx context.Context, req control.Request) (*control.Client, *Status, error) {
	if _, err := os.Stat(l.dir); errors.Is(err, fs.ErrNotExist) && req.Op != control.OpUp && req.Op != control.OpRestore {
		return nil, nil, noCluster(l.name)
	}
	req.From = fmt.Sprintf("(pid %d)", os.Getpid())
	req.Timeout = l.timeout
	if !l.began.IsZero() {
		req.Spent = time.Since(l.began)
	}
	inTime, cancel := l.bounded(ctx, 0)
	defer cancel()
	ctx, cancelAll := l.bounded(ctx, undoTimeout)
	defer cancelAll()
	deadline := time.Now().Add(answerTimeout)
	for {
		cl, err := l.connect(inTime)
		if err != nil {
			return nil, nil, err
		}
		stop := context.AfterFunc(ctx, func() { l.giveUp(ctx, cl) })
		st, err := cl.Do(ctx, req, l.progress)
		stop()
		if err == nil {
			return cl, st, nil
		}
		cl.Close()
		if errors.Is(err, errOverdue) {
			return nil, nil, l.overdue(req.Op)
		}
		again := errors.Is(err, control.ErrBusy) || errors.Is(err, control.ErrUnheard)
		if !again || time.Now().After(deadline) {
			return nil, st, err
		}
	}
}

// undoTimeout is how long a keeper may take, beyond the time of an operation, to take back what that did.
const undoTimeout = 75 * time.Second

// errOverdue is the cause of giving up a keeper that does not end an operation when its time is over.
var errOverdue = errors.New("its keeper does not come to an end, though the time is over")

// overdue is the error for a keeper that did not answer in time, with the way out.
func (l *keeperLink) overdue(op control.Op) error {
	pid, _ := state.LockHolder(l.dir)
	return &Failure{Phase: string(op), Why: fmt.Sprintf("not done within %v, and the cluster's keeper (pid %d) has not ended it %v later", l.timeout, pid, undoTimeout),
		Hint: fmt.Sprintf("`onemore status` tells how it stands; `kill -KILL %d` and `onemore down` end it with its nodes", pid)}
}

// bounded ends the context of an operation when its time, and so much more, is over.
func (l *keeperLink) bounded(ctx context.Context, more time.Duration) (context.Context, context.CancelFunc) {
	if l.timeout <= 0 {
		return ctx, func() {}
	}
	cause := errOverdue
	if more == 0 {
		cause = control.TimeoutError(fmt.Sprintf("not done within %v", l.timeout))
	}
	began := l.began
	if began.IsZero() {
		began = time.Now()
	}
	return context.WithDeadlineCause(ctx, began.Add(l.timeout+more), cause)
}

// timedOut is err, or, where the time of a bounded context is over, an error that says so.
func timedOut(bounded context.Context, err error) error {
	over, ok := errors.AsType[control.TimeoutError](context.Cause(bounded))
	switch {
	case err == nil || !ok:
		return err
	case err == bounded.Err():
		return &Failure{Why: over.Error(), Hint: control.MoreTimeHint}
	case errors.Is(err, over):
		return &Failure{Why: err.Error(), Hint: control.MoreTimeHint}
	}
	return &Failure{Why: fmt.Sprintf("%v: %v", over, err), Hint: control.MoreTimeHint}
}

// giveUp closes the connection to a keeper that is overdue. A client that is interrupted hears the end.
func (l *keeperLink) giveUp(ctx context.Context, cl *control.Client) {
	if errors.Is(context.Cause(ctx), errOverdue) {
		cl.Close()
	}
}

// connect returns a connection to the cluster's keeper, and starts one where none answers.
func (l *keeperLink) connect(ctx context.Context) (*control.Client, error) {
	if cl := l.prestarted.take(); cl != nil {
		return cl, nil
	}
	var cl *control.Client
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, errors.New("no keeper answers"))
	defer cancel()
	err := probe.Until(ctx, nil, func(ctx context.Context) (err error) {
		if cl, err = l.dial(); err == nil {
			return l.checkAnswers(ctx, cl)
		}
		if _, held := state.LockHolder(l.dir); held {
			return fmt.Errorf("its keeper does not answer yet: %w", err) // it is starting, or ending
		}
		cl, err = spawnKeeper(l.dir)
		return err
	})
	return cl, err
}

// checkAnswers refuses a keeper that accepts connections but answers nothing, such as a stopped process. It then closes cl.
func (l *keeperLink) checkAnswers(ctx context.Context, cl *control.Client) error {
	stop := context.AfterFunc(ctx, func() { cl.Close() })
	_, err := cl.Do(ctx, control.Request{Op: control.OpHold}, nil)
	if stop() && err == nil {
		return nil
	}
	cl.Close()
	if ctx.Err() == nil {
		return err // it has just ended
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx) // the caller has given up
	}
	pid, _ := state.LockHolder(l.dir)
	return probe.Permanent(&Failure{Phase: fmt.Sprintf("ask the keeper of cluster %q", l.name), Why: fmt.Sprintf("pid %d does not answer: %v", pid, context.Cause(ctx)),
		Hint: fmt.Sprintf("if it stands still, `kill -CONT %[1]d` lets it go on; `kill -KILL %[1]d` and `onemore down` end it with its nodes", pid)})
}

// dial connects to a keeper that runs.
func (l *keeperLink) dial() (*control.Client, error) {
	conn, err := net.Dial("unix", filepath.Join(l.dir, control.SocketFile))
	if err != nil {
		return nil, err
	}
	return control.NewClient(conn), nil
}

// prestarted is a keeper that an `up` starts before it knows what to ask of it: the start and the planning take about the same
// time. The keeper touches nothing before it is asked. The zero value is none.
type prestarted struct {
	client <-chan *control.Client // nil, or it delivers one client, which is nil if the start failed
}

// prestart starts a keeper for a cluster that does not exist yet. Only the goroutine that calls prestart may use l until
// dismissPrestarted.
func (l *keeperLink) prestart() {
	if _, err := os.Lstat(l.dir); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	client := make(chan *control.Client, 1)
	go func() {
		cl, _ := spawnKeeper(l.dir) // connect will meet the error again
		client <- cl
	}()
	l.prestarted.client = client
}

// take hands the keeper over, once; nil if there is none.
func (p *prestarted) take() *control.Client {
	if p.client == nil {
		return nil
	}
	cl := <-p.client
	p.client = nil
	return cl
}

// dismissPrestarted ends a keeper that was not used.
func (l *keeperLink) dismissPrestarted() {
	if cl := l.prestarted.take(); cl != nil {
		cl.Dismiss()
	}
}
