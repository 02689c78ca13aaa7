package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"onemore/nodecore"

	"github.com/spf13/cobra"
)

const (
	// startTime is how long a node is taken to be starting: it uses one processor,
	// so that many can start at once on few processors. Whoever starts many sets
	// GOMAXPROCS=1 and GOGC=400 in their environment: there it costs nothing, while
	// each such setting in a running program stops it for a moment.
	startTime = 2 * time.Second
	// gcPercent keeps the heap of an idle node small afterwards; a node is one of
	// many on a host, and a busy one still spends little on collecting.
	gcPercent = 50
)

// NodeCommand is `node` with its subcommand `run`.
func NodeCommand(s Streams) *cobra.Command {
	var dir string
	run := &cobra.Command{
		Use:   "run",
		Short: "Run a built-in node in the foreground",
		Long: `Run the built-in node whose directory is given, in the foreground.
Its configuration is etc/node.toml in that directory; ONEMORE_NODE__NAME,
ONEMORE_LISTENERS__MQTT__BIND and so on override it. TERM or INT stops the node.`,
		Args: exactly(0, "no arguments"), SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return RunNode(cmd.Context(), dir, os.Environ(), s.Err)
		},
	}
	run.Flags().StringVar(&dir, "dir", ".", "node directory")
	return group("node", "The built-in node", run)
}

// RunNode runs the node of a directory until ctx ends, which the caller ties to
// TERM and INT. Its log goes to logs.
func RunNode(ctx context.Context, dir string, environ []string, logs io.Writer) (err error) {
	procs := runtime.GOMAXPROCS(1)
	cfg, err := nodecore.LoadConfig(dir, environ)
	if err != nil {
		return err
	}
	cfg.Logger = slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: cfg.Level()}))
	n, err := nodecore.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := n.Close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("stop node: %w", cerr))
		}
	}()
	started := time.NewTimer(startTime)
	defer started.Stop()
	select {
	case <-started.C:
		settleDown(procs)
		<-ctx.Done()
	case <-ctx.Done():
	}
	cfg.Logger.Info("stopping")
	return nil
}

// settleDown ends the start: the node may use all processors, and gives back
// what only the start needed.
func settleDown(procs int) {
	if procs > 1 {
		runtime.GOMAXPROCS(procs)
	} else {
		runtime.SetDefaultGOMAXPROCS()
	}
	debug.SetGCPercent(gcPercent)
	debug.FreeOSMemory()
}
