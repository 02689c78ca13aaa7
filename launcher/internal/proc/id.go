package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"
)

// ErrGone says that the process an ID names does not run any more: it ended, is
// a zombie, or its pid belongs to another process now.
var ErrGone = errors.New("process is gone")

// errForbidden guards the pids that must never be signalled.
var errForbidden = errors.New("refusing to signal this pid")

// ID names one process for good: unlike a pid it is never used twice.
type ID struct {
	PID int `json:"pid"`
	// Start is the start time: clock ticks since boot on Linux (field 22 of
	// /proc/PID/stat), milliseconds since 1970 elsewhere.
	Start uint64 `json:"start"`
	// Boot is the kernel's boot id where there is one, so that an ID that was
	// read from disk means nothing after a reboot. Empty matches any boot.
	Boot string `json:"boot,omitempty"`
}

// IsZero tells whether the ID names no process at all.
func (id ID) IsZero() bool { return id == ID{} }

func (id ID) String() string { return "pid " + strconv.Itoa(id.PID) }

// Same tells whether both IDs name the same process. An empty Boot matches any.
func (id ID) Same(other ID) bool {
	if id.PID != other.PID || id.Start != other.Start {
		return false
	}
	return id.Boot == "" || other.Boot == "" || id.Boot == other.Boot
}

// Identify returns the ID of the process that has the pid now. The error wraps
// ErrGone when there is none, or only a zombie.
func Identify(pid int) (ID, error) {
	s, err := readStat(pid)
	if err != nil {
		return ID{}, fmt.Errorf("identify pid %d: %w", pid, err)
	}
	if s.zombie {
		return ID{}, fmt.Errorf("identify pid %d: %w", pid, ErrGone)
	}
	return ID{PID: pid, Start: s.start, Boot: bootID()}, nil
}

// Self is the ID of the calling process.
func Self() (ID, error) {
	if err := CheckHost(); err != nil {
		return ID{}, err
	}
	return Identify(os.Getpid())
}

// Alive tells whether the process still runs. A zombie is dead, and so is a
// process whose pid was given to another one.
func Alive(id ID) bool {
	now, err := Identify(id.PID)
	return err == nil && now.Same(id)
}

// check refuses the pids that no caller may signal.
func check(id ID) error {
	if id.PID <= 1 || id.PID == os.Getpid() {
		return errForbidden
	}
	return nil
}
