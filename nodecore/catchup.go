package nodecore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"onemore/nodecore/internal/member"
)

const (
	// syncTime bounds how long a node that joins, or returns, fetches the cluster's data.
	syncTime = 30 * time.Second
	// settleTime is how long after a join what is not urgent is done: while a
	// cluster forms, its nodes have more to do.
	settleTime = time.Second
	// progressTime is between two reports of a fetch that takes long.
	progressTime = 500 * time.Millisecond
)

// catchUp is the state of the data that this node fetches when it comes into a
// cluster. Until it is there the node is not ready, and clients wait.
type catchUp struct {
	n *Node

	mu       sync.Mutex    // guards what follows
	cluster  string        // whose data is here
	err      error         // why some of it is not
	progress string        // of a fetch that takes long, else ""
	changed  chan struct{} // closed, and replaced, with every change
}

func (c *catchUp) update(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	close(c.changed)
	c.changed = make(chan struct{})
}

// state returns whose data is here, why some of it is not, and what is closed with
// the next change.
func (c *catchUp) state() (cluster, progress string, changed <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cluster, c.progress, c.changed, c.err
}

// await returns when the data of a cluster is here.
func (c *catchUp) await(ctx context.Context, cluster string) error {
	for {
		have, _, changed, err := c.state()
		if have == cluster {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// run fetches the data of every cluster that this node comes into.
func (c *catchUp) run(ctx context.Context) {
	var settled <-chan time.Time
	for {
		select {
		case a := <-c.n.group.Arrivals():
			c.fetch(ctx, a)
			if settled = nil; a.Joined {
				settled = time.After(settleTime)
			}
		case <-settled:
			c.writeCA()
		case <-ctx.Done():
			return
		}
	}
}

// fetch gets the data of a cluster from those who hold it, and lets clients in.
func (c *catchUp) fetch(ctx context.Context, a member.Arrival) {
	ctx, cancel := context.WithTimeout(ctx, syncTime)
	defer cancel()
	holders := slices.DeleteFunc(a.Holders, func(name string) bool { return name == c.n.cfg.Node.Name })
	var err error
	if len(holders) > 0 {
		c.n.updatePeers() // the links to them
		stop := c.reportProgress(ctx)
		err = c.fetchFrom(ctx, holders)
		stop()
	}
	if err != nil {
		c.n.log.Warn("some of the cluster's data is not here yet", "error", err)
	}
	if !a.Joined { // else it can wait until the cluster has formed
		c.writeCA()
	}
	c.n.broker.Admission.Admit(a.Cluster)
	c.update(func() { c.cluster, c.err, c.progress = a.Cluster, err, "" })
}

func (c *catchUp) writeCA() {
	if err := c.n.broker.Certs.WriteCA(); err != nil {
		c.n.log.Error("write ca.pem", "error", err)
	}
}

// fetchFrom gets what the first of the holders has, and then what the others
// have besides, from all at once.
func (c *catchUp) fetchFrom(ctx context.Context, holders []string) error {
	errs := make([]error, len(holders))
	errs[0] = c.n.broker.Admission.Sync(ctx, holders[0])
	var wg sync.WaitGroup
	for i, name := range holders[1:] {
		wg.Go(func() { errs[i+1] = c.n.broker.Admission.Sync(ctx, name) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err // the first one says enough
		}
	}
	return nil
}

// reportProgress reports to the supervisor and the log how far a fetch is, as long as
// it lasts.
func (c *catchUp) reportProgress(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	before := c.n.broker.Admission.Merged()
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(progressTime)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			text := fmt.Sprintf("fetching the cluster's data: %d retained messages so far", c.n.broker.Admission.Merged()-before)
			c.n.log.Info(text)
			c.update(func() { c.progress = text })
		}
	})
	return func() { cancel(); wg.Wait() }
}
