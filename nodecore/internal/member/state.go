package member

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// stateFile is where a node keeps who it is and whom it knows, in its data directory.
const stateFile = "cluster.json"

// state is what survives a restart of a node.
type state struct {
	Name     string     `json:"name"`
	Node     string     `json:"node"` // never changes
	ID       string     `json:"id"`   // changes with the cluster
	Boot     uint64     `json:"boot"`
	Cluster  string     `json:"cluster"` // empty until the node was in a cluster for the first time
	Departed []departed `json:"departed,omitempty"`
	rosterData
}

// departed remembers a cluster that the node left while no member of it could
// be told, so that those who ask later still get to know.
type departed struct {
	Cluster string `json:"cluster"`
	ID      string `json:"id"`
}

// maxDeparted bounds the memory of clusters left.
const maxDeparted = 16

// NameError is the refusal to start a data directory under a name that it
// doesn't belong to.
type NameError struct {
	Dir, Name, Want string // data directory, name in its data, name asked for
}

func (e *NameError) Error() string {
	return fmt.Sprintf("data directory %q belongs to node %q, not to %q: start it as %q, or remove the directory to begin anew as %q",
		e.Dir, e.Name, e.Want, e.Name, e.Want)
}

// loadState reads the state of a data directory, or makes a new one for the name.
func loadState(dir, name string) (state, error) {
	path := filepath.Join(dir, stateFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{Name: name, Node: newID(), ID: newID()}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("read node state: %w", err)
	}
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return state{}, fmt.Errorf("read node state %q: %w", path, err)
	}
	if s.Name != name {
		return state{}, &NameError{Dir: dir, Name: s.Name, Want: name}
	}
	if s.ID == "" || s.Node == "" {
		return state{}, fmt.Errorf("read node state %q: no node id", path)
	}
	return s, nil
}

// save replaces the file in one step. With sync it returns only when the disk
// has it: for steps that a person waits for, not for every start of a node.
func (s state) save(dir string, sync bool) (err error) {
	path := filepath.Join(dir, stateFile)
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write node state %q: %w", path, err)
	}
	tmp := path + ".tmp"
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write node state: %w", err), discard(tmp))
		}
	}()
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func discard(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// newID is 64 random bits: ids are compared within a cluster only.
func newID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails, by its contract
	return hex.EncodeToString(b[:])
}
