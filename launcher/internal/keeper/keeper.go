// Package keeper is the one small process per cluster that is the parent of its nodes: it has the lock on the cluster's folder,
// answers on a unix socket in it, lets one operation at a time change the cluster, ends the cluster with its owners, and writes
// its event log. What an operation does is in package operation; what client and keeper say to each other in package control.
//
// The cluster hangs on its keeper: nodes are started so that the kernel kills them when the keeper dies, and what slips
// through (a daemon) is found by the next keeper of the same folder: node.Claim. So a crash at any point leaves only directories,
// which the record on disk names.
//
// Start at Run (the process) and Keeper.do (one request).
package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/proc"
)

// Keeper is a running keeper.
type Keeper struct {
	dir        string
	self       proc.ID
	logOutput  stderrLog
	log        *slog.Logger
	events     eventLog
	cluster    *cluster.Cluster
	lock       *operationLock
	background sync.WaitGroup     // connections, and what listens and watches
	life       context.Context    // ends when the keeper does
	over       context.CancelFunc // ends it

	// For the holder of the operation lock, and before and after there are any.
	unlock   func() error // of the cluster's folder, nil while the keeper has none
	folder   fs.FileInfo  // the folder that is locked
	listener net.Listener

	mu      sync.Mutex // guards what is below; held for reads and writes of memory only
	damaged error      // why nothing can be done with the cluster but to take it down
	asked   bool       // a client has sent a request
	conns   int
	owners  int // connections with whose end the cluster ends
}

// newKeeper returns a keeper of the cluster in dir, which it does not touch yet.
func newKeeper(ctx context.Context, dir string, self proc.ID) *Keeper {
	k := &Keeper{dir: dir, self: self}
	k.log = slog.New(slog.NewTextHandler(&k.logOutput, nil))
	k.life, k.over = context.WithCancel(ctx)
	k.lock = newOperationLock(k.life)
	k.cluster = cluster.New(dir, node.NewHost(dir, self, k.log, k.events.record), k.log)
	return k
}

// Run serves the cluster in dir (absolute) until it is down or ctx ends. first is the connection of the client that
// started the keeper; its request makes the folder when there is none.
func Run(ctx context.Context, dir string, first net.Conn) (err error) {
	refuse := func(err error) error {
		_ = json.NewEncoder(first).Encode(control.Reply{Error: &control.Error{Phase: "take charge of " + dir, Why: err.Error()}})
		return err
	}
	if err := proc.BecomeSubreaper(); err != nil {
		return refuse(fmt.Errorf("become the parent of daemons: %w", err))
	}
	self, err := proc.Self()
	if err != nil {
		return refuse(err)
	}
	k := newKeeper(ctx, dir, self)
	defer k.over()
	defer k.close()
	err = k.claim()
	if errors.Is(err, control.ErrBusy) {
		return json.NewEncoder(first).Encode(control.Reply{Error: control.AsError(err)})
	}
	if err != nil {
		return refuse(err)
	}
	k.background.Go(func() { k.serve(first) })
	<-k.life.Done()
	return nil
}

// close ends everything the keeper started; with nodes still running (ctx ended from outside) they are killed.
func (k *Keeper) close() {
	if k.listener != nil {
		k.listener.Close()
	}
	k.cluster.Services.Close()
	if err := k.cluster.Host.Processes.KillAll(); err != nil {
		k.log.Error("end what still runs", "err", err)
	}
	if id := k.cluster.Host.ID(); id != "" {
		if err := k.cluster.Kernel.Heal(context.Background(), id); err != nil {
			k.log.Error("heal the network", "err", err)
		}
	}
	k.cluster.Host.Close()
	k.background.Wait()
	k.cluster.Host.Wait()
	if k.owned() && k.inPlace(k.folder) {
		if err := k.Remove(); err != nil {
			k.log.Error("remove what was its owner's", "err", err)
		}
	}
	k.events.close()
	_ = k.cluster.Leases.Close()
	if k.unlock != nil {
		if k.inPlace(k.folder) {
			_ = os.Remove(filepath.Join(k.dir, control.SocketFile))
			_ = os.Remove(filepath.Join(k.dir, cluster.KeeperFile)) // that it is gone says that the keeper ended in order
		}
		_ = k.unlock()
	}
}
