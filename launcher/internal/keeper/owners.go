package keeper

// connected counts a connection that has begun.
func (k *Keeper) connected() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns++
}

// disconnected counts a connection that has ended. The last one ends the keeper if there is no cluster, or one of which the record
// is damaged, or if nobody has asked for anything: the client that started the keeper has died before it could.
func (k *Keeper) disconnected() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns--
	if (k.damaged != nil || k.cluster.Record() == nil || !k.asked) && k.conns == 0 {
		k.over()
	}
}

// noteRequest notes that somebody has asked for something.
func (k *Keeper) noteRequest() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = true
}

// own makes a connection an owner; see disown.
func (k *Keeper) own() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owners++
}

// forgetOwner makes a connection no owner any more. The cluster stays, also where it was the last.
func (k *Keeper) forgetOwner() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owners--
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
