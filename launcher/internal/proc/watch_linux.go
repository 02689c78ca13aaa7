package proc

import (
	"context"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watcher holds on to one process, so that neither a signal nor a wait can hit
// another one that got its pid.
type watcher struct {
	id ID
	fd *os.File // a pidfd; nil on kernels that have none
}

// watch opens the process and only then checks that it is the one that id
// names, so there is no moment in which the pid could change hands.
func watch(id ID) (*watcher, error) {
	if err := check(id); err != nil {
		return nil, err
	}
	fd, err := openPidfd(id.PID)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	w := &watcher{id: id, fd: fd}
	if err := verify(id); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (w *watcher) Close() error {
	if w.fd == nil {
		return nil
	}
	return w.fd.Close()
}

func (w *watcher) signal(sig syscall.Signal) error {
	if w.fd == nil {
		return gone(syscall.Kill(w.id.PID, sig))
	}
	raw, err := w.fd.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	if err != nil {
		return err
	}
	return gone(sent)
}

func (w *watcher) wait(ctx context.Context) error {
	if w.fd == nil {
		return pollWait(ctx, w.id)
	}
	return waitPidfd(ctx, w.fd)
}

// openPidfd returns a pidfd that the runtime's poller can wait for: no thread
// is blocked by waiting.
func openPidfd(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPERM):
		return nil, errors.ErrUnsupported // a kernel before 5.10, or a sandbox
	case err != nil:
		return nil, gone(err)
	}
	return os.NewFile(uintptr(fd), "pidfd "+strconv.Itoa(pid)), nil
}

// waitPidfd returns when the process has ended; it need not be reaped.
func waitPidfd(ctx context.Context, fd *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = fd.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := fd.SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Read(func(fd uintptr) bool {
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(set, 0)
		return n > 0
	})
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// awaitExit blocks until the child has ended, and leaves it to be reaped.
func awaitExit(pid int) error {
	fd, err := openPidfd(pid)
	if err == nil {
		defer fd.Close()
		return waitPidfd(context.Background(), fd)
	}
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
