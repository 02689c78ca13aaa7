package proc

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dieWithThread makes the kernel kill the child when the forking thread ends.
func dieWithThread(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

// startReaper reaps strangers until the context is done.
func (s *Spawner) startReaper(ctx context.Context) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	s.reaper.Go(func() {
		defer signal.Stop(died)
		for {
			s.reapStrangers()
			select {
			case <-ctx.Done():
				return
			case <-died:
			case <-s.poke:
			}
		}
	})
}

// reapStrangers reaps every dead child that we did not start. It looks before
// it reaps, so that the exit status of our own children is left to their
// waiters. The kernel shows one dead child at a time: when that is one of ours,
// it goes on at the poke that follows the waiter's reaping.
func (s *Spawner) reapStrangers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		pid, err := peekDead()
		if err != nil || pid == 0 {
			return
		}
		if _, ours := s.children[pid]; ours {
			return
		}
		var ws syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &ws, syscall.WNOHANG, nil); err != nil {
			s.log.Warn("reap orphan", "pid", pid, "error", err)
			return
		}
		s.log.Debug("reaped orphan", "pid", pid, "status", int(ws))
	}
}

// peekDead returns the pid of a dead child without reaping it, or 0.
func peekDead() (int, error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return siginfoPID(&info), err
	}
}

// siginfoPID reads si_pid, which x/sys leaves inside an unnamed union. The union
// starts at the first multiple of the word size after three 32-bit fields.
func siginfoPID(info *unix.Siginfo) int {
	const word = unsafe.Sizeof(uintptr(0))
	const offset = (3*4 + word - 1) / word * word
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
