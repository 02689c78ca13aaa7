//go:build !linux

package proc

import (
	"context"
	"syscall"
)

// dieWithThread has no counterpart here: orphans are found by their mark.
func dieWithThread(*syscall.SysProcAttr) {}

// startReaper has nothing to do where no process is given orphans but init.
func (s *Spawner) startReaper(context.Context) {}
