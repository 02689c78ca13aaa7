package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/operation"
	"onemore/launcher/internal/state"
)

// folderEvery is how often a keeper checks whether its folder is still there.
const folderEvery = 500 * time.Millisecond

// claim takes charge of an existing folder: its lock, its record, and whatever an earlier keeper left running. A folder
// that does not exist yet is made by the first request. It fails with control.ErrBusy when another keeper has it.
func (k *Keeper) claim() error {
	if _, err := os.Stat(k.dir); err != nil {
		return nil
	}
	id, ok, err := nodedir.Marked(k.dir)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("%s was not made by onemore; choose another cluster name", k.dir))
	}
	if err := k.lockFolder(); err != nil {
		return err
	}
	damaged := operation.Recover(context.Background(), k.cluster, id)
	k.setDamaged(damaged)
	err = k.open()
	if damaged != nil {
		k.log.Error("take charge", "err", damaged)
	}
	return err
}

func (k *Keeper) setDamaged(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.damaged = err
}

// lockFolder takes the lock on the cluster's folder; the kernel frees it with the process.
func (k *Keeper) lockFolder() error {
	unlock, ok, err := state.TryLockDir(k.dir)
	if err == nil && !ok {
		err = control.ErrBusy
	}
	if err != nil {
		return err
	}
	k.unlock = unlock
	k.folder, err = os.Stat(k.dir)
	return err
}

// open starts to answer on the socket and to log. It is called with the folder locked.
func (k *Keeper) open() error {
	// A full disk costs the logs, and what distinguishes a crash from an end in order. It must not stand in the way of `down`.
	k.logOutput.open(filepath.Join(k.dir, cluster.LogFile))
	if err := k.events.open(filepath.Join(k.dir, cluster.EventsFile)); err != nil {
		k.log.Error("log events", "err", err)
	}
	if err := node.WriteProcessID(filepath.Join(k.dir, cluster.KeeperFile), k.self); err != nil {
		k.log.Error("record the keeper's process", "err", err)
	}
	sock := filepath.Join(k.dir, control.SocketFile)
	if err := os.Remove(sock); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: sock, Net: "unix"})
	if err != nil {
		return err
	}
	ln.SetUnlinkOnClose(false) // by then it may be the next keeper's
	k.listener = ln
	k.background.Go(func() { k.accept(ln) })
	folder := k.folder
	k.background.Go(func() { k.watchFolder(folder) })
	return nil
}

// Create makes the cluster's folder, marked from its first moment, and takes charge of it. One that is there and has no
// record is what an `up` or a `down` that was killed has left. It is for the holder of the operation lock, as are Remove and Held.
func (k *Keeper) Create(id string) error {
	if err := k.Remove(); err != nil {
		return err
	}
	err := nodedir.Make(k.dir, id)
	if errors.Is(err, fs.ErrExist) { // somebody made it since this keeper was started
		return cmp.Or(k.claim(), operation.StaleError())
	}
	if err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	if err := k.lockFolder(); err != nil {
		return err
	}
	return k.open()
}

// Held reports whether the keeper has the cluster's folder.
func (k *Keeper) Held() bool { return k.unlock != nil }

// Remove removes the cluster's folder, and nothing that lacks its mark. The record goes first: a folder that is half
// removed is none that anybody would start again. The keeper has no cluster afterwards.
func (k *Keeper) Remove() error {
	if !k.Held() {
		return nil
	}
	k.events.close()
	id, ok, err := nodedir.Marked(k.dir)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("remove %s: it does not carry our mark", k.dir))
	}
	k.cluster.Host.Processes.CloseCgroup()
	if err := nodedir.RemoveIn(k.dir, id, cluster.RecordFile); err != nil {
		return err
	}
	if err := nodedir.Remove(k.dir, id); err != nil {
		return err
	}
	if k.listener != nil {
		k.listener.Close()
	}
	err = k.cluster.Leases.Close() // before anybody hears that it is done, and tries again
	err = errors.Join(err, k.unlock())
	k.unlock = nil
	k.cluster.Forget()
	k.setDamaged(nil)
	return err
}

// inPlace reports whether the cluster's folder is where it was: nobody has removed or moved it, or put another there.
func (k *Keeper) inPlace(folder fs.FileInfo) bool {
	now, err := os.Stat(k.dir)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return os.SameFile(now, folder)
}

// watchFolder ends the cluster when its folder has gone: no command would find it any more.
func (k *Keeper) watchFolder(folder fs.FileInfo) {
	tick := time.NewTicker(folderEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-k.life.Done():
			return
		}
		if k.inPlace(folder) {
			continue
		}
		select {
		case k.lock.slot <- struct{}{}:
		case <-k.life.Done():
			return
		}
		if k.Held() && k.folder == folder { // else an operation has removed it, and may have made it anew
			k.log.Error("the cluster's folder has gone: all of it is ended", "dir", k.dir)
			k.over()
		}
		k.lock.unlock()
		return
	}
}
