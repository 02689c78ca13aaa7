package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/probe"
)

// down stops everything; unless data is to be kept it removes everything too.
func (k *Keeper) down(ctx context.Context, req control.Request, emit func(control.Event)) error {
	if k.rec == nil {
		return k.downUnknown(ctx, req)
	}
	if err := k.stopNodes(ctx, k.all(), !req.KeepData, emit); err != nil {
		return err
	}
	k.stopService(ctx)
	if err := k.healKernel(ctx, k.id()); err != nil {
		return err
	}
	if err := k.killAll(); err != nil {
		return err
	}
	if err := k.portsFree(ctx); err != nil {
		return err
	}
	if req.KeepData {
		return nil
	}
	return k.removeAll()
}

// downUnknown is down for a folder without a record that can be read: what runs is found by the folder's mark.
func (k *Keeper) downUnknown(ctx context.Context, req control.Request) error {
	if k.unlock == nil {
		return nil
	}
	id, _, err := nodedir.Marked(k.dir)
	if err == nil {
		err = errors.Join(k.clearStrays(id), k.healKernel(ctx, id))
	}
	if err != nil || req.KeepData {
		return err
	}
	return k.removeAll()
}

// portsFree waits until no socket is left on a port of the cluster that one of ours held.
func (k *Keeper) portsFree(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Second, errors.New("still held"))
	defer cancel()
	return probe.Until(ctx, nil, func(context.Context) error {
		table, err := ports.Sockets()
		if err != nil {
			return err
		}
		for _, n := range k.all() {
			for _, l := range n.plan.Listeners {
				for _, s := range table {
					if s.Port != l.Port || !slices.Contains(l.Protocols, string(s.Proto)) || !serves(s, l) {
						continue
					}
					if h, ok := ports.Holder(ports.Addr{Proto: s.Proto, Host: s.Host.String(), Port: s.Port}); ok && k.ours(h.PID) {
						return fmt.Errorf("port %d (%s) of node %s is held by pid %d (%s)", l.Port, l.Name, n.plan.Name, h.PID, h.Name)
					}
				}
			}
		}
		return nil
	})
}

// removeAll removes the cluster's folder, and nothing that lacks its mark. The record goes first: a folder that is half
// removed is none that anybody would start again. The keeper has nothing to keep afterwards.
func (k *Keeper) removeAll() error {
	if k.unlock == nil {
		return nil
	}
	if k.events != nil {
		_ = k.events.Close()
	}
	id, ok, err := nodedir.Marked(k.dir)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("remove %s: it does not carry our mark", k.dir))
	}
	if err := nodedir.RemoveIn(k.dir, id, recordFile); err != nil {
		return err
	}
	if err := nodedir.Remove(k.dir, id); err != nil {
		return err
	}
	if k.ln != nil {
		k.ln.Close()
	}
	if k.lease != nil { // before anybody can be told that it is done, and try again
		err = k.lease.Close()
	}
	err = errors.Join(err, k.unlock())
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rec, k.nodes, k.service, k.unlock, k.lease, k.leased, k.broken = nil, map[int]*node{}, nil, nil, nil, nil, nil
	return err
}

// discardAll ends and removes the nodes of an `up` that never came to its end.
func (k *Keeper) discardAll(ctx context.Context) error {
	if err := k.stopNodes(ctx, k.all(), true, func(control.Event) {}); err != nil {
		return err
	}
	k.stopService(ctx)
	for _, n := range k.all() {
		if err := k.removeFolder(n); err != nil {
			return err
		}
	}
	return nil
}

// keepLogs moves the logs of nodes that are about to be removed to a folder beside the clusters, and returns it. Only the
// last failure of a cluster is kept.
func (k *Keeper) keepLogs(nodes []*node) string {
	if k.rec == nil {
		return ""
	}
	parent := filepath.Join(filepath.Dir(k.dir), FailedFolder)
	dir := filepath.Join(parent, k.rec.Plan.Cluster)
	err := os.MkdirAll(parent, 0o700)
	if err == nil {
		err = nodedir.Remove(dir, FailedFolder)
	}
	if err == nil {
		err = nodedir.Make(dir, FailedFolder)
	}
	if err != nil {
		k.log.Error("keep logs", "err", err)
		return ""
	}
	kept := 0
	for _, n := range nodes {
		if os.Rename(n.plan.Log, filepath.Join(dir, fmt.Sprintf("node%d.log", n.plan.Index))) == nil {
			kept++ // a node that never started has none
		}
		for _, file := range ownLogs(n.plan) {
			if os.Rename(file, filepath.Join(dir, fmt.Sprintf("node%d-%s", n.plan.Index, filepath.Base(file)))) == nil {
				kept++
			}
		}
	}
	if kept == 0 {
		_ = nodedir.Remove(dir, FailedFolder)
		return ""
	}
	return dir
}

// FailedFolder holds, beside the clusters, a folder of logs for every cluster whose last `up` failed; it is also their mark.
const FailedFolder = "_failed"
