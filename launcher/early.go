package launcher

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"

	"onemore/launcher/internal/control"
)

// early is a keeper that was started before it was decided what to ask of it: its start and the planning take about the
// same time. It touches nothing before it is asked. The zero value is none.
type early struct {
	started chan *control.Client // nil, or it delivers one client, which is nil if the start failed
}

// startEarly starts a keeper for a cluster that does not exist yet. What is wrong with the options is for decide to say.
func startEarly(ctx context.Context, o Options) *early {
	c, err := at(cmp.Or(o.Cluster, "default"), o)
	if err != nil {
		return &early{}
	}
	if _, err := os.Lstat(c.dir); !errors.Is(err, fs.ErrNotExist) {
		return &early{}
	}
	e := &early{started: make(chan *control.Client, 1)}
	go func() {
		cl, _ := c.spawn(ctx) // connect will meet the error again
		e.started <- cl
	}()
	return e
}

// take hands the keeper over, once; nil if there is none.
func (e *early) take() *control.Client {
	if e == nil || e.started == nil {
		return nil
	}
	cl := <-e.started
	e.started = nil
	return cl
}

// close ends a keeper that nobody has taken.
func (e *early) close() {
	if cl := e.take(); cl != nil {
		cl.Dismiss()
	}
}
