package keeper

import (
	"context"

	"onemore/launcher/internal/control"
)

// connected counts a connection that has begun.
func (k *Keeper) connected() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns++
}

// disconnected counts a connection that has ended. The last one ends the keeper if there is no cluster, or one of which the record
// is damaged.
func (k *Keeper) disconnected() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns--
	if (k.damaged != nil || k.cluster.Record() == nil) && k.conns == 0 {
		k.over()
	}
}

// own makes a connection an owner; disown ends that, and the last owner's end takes the cluster down. A keeper that is ended
// before its owners have gone does so, too: close.
func (k *Keeper) own() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owners++
}

// disownAll makes no connection an owner: the cluster is down.
func (k *Keeper) disownAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owners = 0
}

func (k *Keeper) owned() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.owners > 0
}

func (k *Keeper) disown() {
	k.mu.Lock()
	last := k.owners == 1
	if !last {
		k.owners--
	}
	k.mu.Unlock()
	if !last {
		return
	}
	_, err := k.do(context.Background(), control.Request{Op: control.OpDown, From: "(its owner has gone)"}, func(control.Event) {})
	if err == nil || k.life.Err() != nil {
		return
	}
	k.log.Error("take the cluster down", "err", err)
	k.mu.Lock()
	k.owners--
	k.mu.Unlock()
}
