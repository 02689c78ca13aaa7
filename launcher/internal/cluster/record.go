package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/state"
)

// Record is what is on disk about a cluster (cluster.json): written before what it names exists, so that a crash at any
// point leaves nothing that can't be found.
type Record struct {
	Version int             `json:"version"`
	Options json.RawMessage `json:"options,omitempty"` // the launcher's; never read here
	Plan    *plan.Plan      `json:"plan"`
	// Revision grows with every change of the plan: a request that was planned on another one is refused.
	Revision int   `json:"revision"`
	Groups   bool  `json:"groups,omitempty"` // the kernel is to distinguish nodes by their group ids
	Formed   bool  `json:"formed"`           // the first `up` came to its end
	Joined   []int `json:"joined"`           // nodes that have been members
}

const recordVersion = 1

// Files of a cluster's folder, besides control.SocketFile.
const (
	RecordFile = "cluster.json"
	KeeperFile = node.KeeperFile
	LogFile    = "keeper.log"
	EventsFile = "events.jsonl"
)

// RecordPath is where the record of the cluster in dir is. Each change puts another file there.
func RecordPath(dir string) string { return filepath.Join(dir, RecordFile) }

// ReadRecord reads the record of the cluster in dir. The error wraps fs.ErrNotExist when there is no such cluster.
func ReadRecord(dir string) (*Record, error) {
	var r Record
	if err := state.ReadJSON(RecordPath(dir), &r); err != nil {
		return nil, err
	}
	if r.Version != recordVersion || r.Plan == nil {
		return nil, &state.DamagedError{Path: RecordPath(dir),
			Err: fmt.Errorf("it is of version %d; this onemore reads %d", r.Version, recordVersion)}
	}
	r.Plan.Upgrade()
	return &r, nil
}

// Write writes the record into the cluster's folder.
func (r *Record) Write(dir string) error {
	r.Version = recordVersion
	return state.WriteJSON(RecordPath(dir), r)
}

// HasJoined reports whether the node has been a member.
func (r *Record) HasJoined(index int) bool { return slices.Contains(r.Joined, index) }

// ReadRecordIfAny is ReadRecord, with nil for a folder that has none yet.
func ReadRecordIfAny(dir string) (*Record, error) {
	r, err := ReadRecord(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return r, err
}
