// Onemore turns one server directory into a real cluster on this host. This file is wiring only: streams, signals, the
// exit code, and the two halves of the program, which know nothing of each other: launcher (clusters of any server) and
// nodecore (the built-in server).
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"onemore/launcher"
	"onemore/launcher/cli"
	nodecli "onemore/nodecore/cli"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if len(args) == 2 && args[0] == launcher.KeeperCommand {
		if err := launcher.RunKeeper(ctx, args[1]); err != nil {
			fmt.Fprintln(os.Stderr, "onemore: error:", err)
			return 1
		}
		return 0
	}
	streams := nodecli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	switch {
	case len(args) > 0 && args[0] == "node":
		root := &cobra.Command{Use: "onemore"} // whose name the help gives
		root.AddCommand(nodecli.NodeCommand(streams))
		root.SetArgs(args)
		return nodecli.Report(os.Stderr, root.ExecuteContext(ctx))
	case len(args) > 0 && args[0] == "ctl" && nodecli.CtlOwns(args[1:]):
		return nodecli.RunCtl(ctx, args[1:], streams)
	}
	app := cli.App{Version: version(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Extra: []*cobra.Command{nodecli.NodeCommand(streams)}}
	return app.Run(ctx, args)
}

// release is the version of a package: the linker sets it (-X main.release=1.2.3), in Makefile, Dockerfile and .goreleaser.yaml.
var release string

// version is what the build knows: the release, else the module's version, else the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(release, "unknown")
	}
	v := cmp.Or(release, info.Main.Version)
	if v == "" {
		v = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			v += " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return v + " " + info.GoVersion
}
