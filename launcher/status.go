package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/state"
)

// Status observes the cluster, with or without a keeper. It changes nothing.
func (c *Cluster) Status(ctx context.Context) (*Status, error) {
	if _, err := os.Lstat(c.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, noCluster(c.name)
	}
	var st *Status
	wait, cancel := context.WithTimeoutCause(ctx, answerTimeout, errors.New("no answer"))
	defer cancel()
	err := probe.Until(wait, nil, func(ctx context.Context) (err error) {
		if st, err = c.askStatus(ctx); st != nil {
			return nil
		}
		if _, held := state.LockHolder(c.dir); held {
			return fmt.Errorf("its keeper does not answer yet: %w", err) // it is starting, or ending
		}
		return nil
	})
	if st != nil || ctx.Err() != nil {
		return st, context.Cause(ctx)
	}
	return statusWithoutKeeper(c.folder, err)
}

// askStatus asks the keeper; the status is nil when there is none, or when it has no record of the cluster yet.
func (l *keeperLink) askStatus(ctx context.Context) (*Status, error) {
	cl, err := l.dial()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	defer context.AfterFunc(ctx, func() { cl.Close() })()
	st, err := cl.Do(ctx, control.Request{Op: control.OpStatus}, nil)
	if st == nil && err == nil {
		err = errors.New("it has recorded nothing")
	}
	return st, err
}

// statusWithoutKeeper is the status of a cluster whose keeper does not answer; noAnswer is why, nil if there is no keeper.
func statusWithoutKeeper(f folder, noAnswer error) (*Status, error) {
	st, err := cluster.OfflineStatus(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		st, err = statusWithoutRecord(f, noAnswer == nil)
	}
	if err != nil || noAnswer == nil {
		return st, err
	}
	pid, held := state.LockHolder(f.dir)
	st.Keeper = pid
	if held && len(st.Nodes) > 0 {
		return st, nil // its notes name the keeper already
	}
	st.Notes = append(st.Notes, fmt.Sprintf("its keeper (pid %d) does not answer: %v", pid, noAnswer))
	return st, nil
}

// statusWithoutRecord is the status of a folder that an `up` or a `down` has left without a record of the cluster.
func statusWithoutRecord(f folder, killed bool) (*Status, error) {
	if _, ok, err := nodedir.Marked(f.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, noCluster(f.name)
	} else if err != nil || !ok {
		return nil, errors.Join(err, fmt.Errorf("%s was not made by onemore", f.dir))
	}
	st := &Status{Cluster: f.name, Dir: f.dir, State: control.Lost, Nodes: []NodeStatus{}, FaultTable: control.FaultTable{Faults: []Fault{}}}
	if killed {
		st.Notes = []string{"an `up` or a `down` was killed half way: `onemore down` removes what is left"}
	}
	return st, nil
}

// WaitSettled returns when every running node itself says that it sees all running ones.
func (c *Cluster) WaitSettled(ctx context.Context) error {
	_, err := c.do(ctx, control.Request{Op: control.OpSettle})
	return err
}
