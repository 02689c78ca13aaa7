package launcher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/keeper"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
)

// How an executable is told to be a keeper: its first argument, or (a test binary) this variable, which TestMain looks at.
const (
	KeeperCommand = "__keeper"
	RoleVariable  = "ONEMORE_ROLE"
	// TestMainVariable is set by a test binary whose TestMain knows these roles. Without it a test binary is not started
	// again: it would run its tests, and so itself, without end.
	TestMainVariable = "ONEMORE_TEST_MAIN"
)

// InCluster tells whether this process was started for a node of a cluster.
func InCluster() bool { return os.Getenv(node.MarkCluster) != "" }

// RunKeeper is what the process started as KeeperCommand does: it keeps the cluster in dir until it is down.
func RunKeeper(ctx context.Context, dir string) error {
	f := os.NewFile(3, "client")
	conn, err := net.FileConn(f)
	if err != nil {
		return fmt.Errorf("%s is started by onemore itself, not by hand: %w", KeeperCommand, err)
	}
	f.Close()
	os.Unsetenv(RoleVariable)
	return keeper.Run(ctx, dir, conn)
}

// spawnKeeper starts this executable as the keeper of the cluster in dir. It is connected from the start, over a socket pair:
// there is no socket to wait for.
func spawnKeeper(dir string) (*control.Client, error) {
	fds, err := socketPair()
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "keeper"), os.NewFile(uintptr(fds[1]), "client")
	defer ours.Close()
	defer theirs.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(self, ".test") && os.Getenv(TestMainVariable) == "" {
		return nil, probe.Permanent(errors.New("a test binary can be a keeper only with a TestMain that calls launchertest.Main"))
	}
	_, err = proc.Detach(proc.Spec{Args: []string{self, KeeperCommand, dir}, Dir: "/", ExtraFiles: []*os.File{theirs},
		Env: append(os.Environ(), RoleVariable+"="+KeeperCommand)})
	if err != nil {
		return nil, fmt.Errorf("start a keeper: %w", err)
	}
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	return control.NewClient(conn), nil
}

// socketPair makes two connected sockets that no other child inherits: one that held our end would keep the connection open
// after our own end.
func socketPair() (fds [2]int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if fds, err = syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0); err != nil {
		return fds, fmt.Errorf("make a connection to a keeper: %w", err)
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	return fds, nil
}
