//go:build !linux

package proc

import (
	"slices"

	"github.com/shirou/gopsutil/v4/process"
)

// Stopped reports whether the process runs on: SIGSTOP takes effect some time after
// it was sent. A process that is gone is stopped.
func Stopped(id ID) (bool, error) {
	if !Alive(id) {
		return true, nil
	}
	p, err := process.NewProcess(int32(id.PID))
	if err != nil {
		return !Alive(id), nil
	}
	states, err := p.Status()
	return err == nil && slices.Contains(states, process.Stop), err
}
