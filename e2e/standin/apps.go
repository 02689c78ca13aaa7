package main

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// apps are the applications of a node that are stopped and started again when it changes its cluster, and with them all that
// clients see. One that can't be started ends the node.
type apps struct {
	open func(context.Context) ([]io.Closer, error)
	fail func(error)

	mu     sync.Mutex  // guards what follows
	front  []io.Closer // what clients see, in the order in which it was opened
	closed bool        // for good
}

func (a *apps) start(ctx context.Context) {
	front, err := a.open(ctx)
	a.mu.Lock()
	a.front = append(a.front, front...)
	closed := a.closed
	a.mu.Unlock()
	if closed {
		a.stop()
	}
	if err != nil {
		a.fail(err)
	}
}

// stop closes what clients see and waits for it; stopForGood is the last.
func (a *apps) stop() {
	a.mu.Lock()
	front := a.front
	a.front = nil
	a.mu.Unlock()
	for _, open := range front {
		open.Close()
	}
}

func (a *apps) stopForGood() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.stop()
}

// openApps checks the licence and opens the listeners, then what is on HTTP.
func (v *vm) openApps(ctx context.Context) (front []io.Closer, err error) {
	if err := v.checkLicense(); err != nil {
		return nil, err
	}
	front, err = v.openFront(ctx)
	if err != nil {
		return front, err
	}
	more, err := v.openWeb()
	return append(front, more...), err
}

// checkLicense refuses a node that runs beside another while no node of the cluster has a licence for that.
func (v *vm) checkLicense() error {
	running, _ := v.cluster.view()
	v.cluster.mu.Lock()
	licensed := v.cluster.licensed
	v.cluster.mu.Unlock()
	if len(running) < 2 || licensed {
		return nil
	}
	const reason = "SINGLE_NODE_LICENSE, make sure this node and peer nodes are configured with a valid license"
	v.log.printf("error", "failed_to_start_app, app: emqx_license, reason: %s", reason)
	return crash{fmt.Sprintf("{application_start_failure,emqx_license,{bad_return,{{emqx_license_app,start,[normal,[]]},{error,\\\"%s\\\"}}}}", reason)}
}
