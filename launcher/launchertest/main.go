package launchertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"onemore/launcher"
	nodecli "onemore/nodecore/cli"
)

// Main runs a package's tests; call it from TestMain. It does not return. The launcher starts the same binary again as a cluster's
// keeper and as a built-in node; those processes run no tests. Shared clusters are up while the tests run.
func Main(m *testing.M, shared ...*Shared) {
	if code, ok := role(os.Args[1:]); ok {
		os.Exit(code)
	}
	os.Setenv(launcher.TestMainVariable, "1")
	os.Exit(run(m, shared))
}

func run(m *testing.M, shared []*Shared) (code int) {
	for _, s := range shared {
		c, release, err := start(context.Background(), nil, s.Nodes, s.Options)
		if err != nil {
			fmt.Fprintln(os.Stderr, "launchertest: shared cluster:", explain(err))
			return 1
		}
		s.cluster = c
		defer func() {
			if err := end(c.c, release); err != nil && !errors.Is(err, launcher.ErrNoCluster) {
				fmt.Fprintln(os.Stderr, "launchertest: shared cluster:", explain(err))
				code = max(code, 1)
			}
		}()
	}
	return m.Run()
}

// role runs a keeper, a node or a control command, if that is what this binary was started for; else ok is false.
func role(args []string) (code int, ok bool) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	streams := nodecli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	switch {
	case os.Getenv(launcher.RoleVariable) == launcher.KeeperCommand && len(args) == 2:
		if err := launcher.RunKeeper(ctx, args[1]); err != nil {
			fmt.Fprintln(os.Stderr, "launchertest: keeper:", err)
			return 1, true
		}
		return 0, true
	case !launcher.InCluster() || len(args) < 2:
		return 0, false
	case args[0] == "node":
		cmd := nodecli.NodeCommand(streams)
		cmd.SetArgs(args[1:])
		return nodecli.Report(os.Stderr, cmd.ExecuteContext(ctx)), true
	case args[0] == "ctl":
		return nodecli.RunCtl(ctx, args[1:], streams), true
	}
	return 0, false
}
