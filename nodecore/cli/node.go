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

	"onemore/nodecore"

	"github.com/spf13/cobra"
)

// gcPercent keeps the heap of an idle node small; a node is one of many on a
// host, and a busy one still spends little on collecting.
const gcPercent = 50

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
	debug.SetGCPercent(gcPercent)
	runtime.GOMAXPROCS(1) // a hundred nodes that start on two cores are faster so
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
	select {
	case <-ctx.Done():
		cfg.Logger.Info("stopping")
	case <-n.Done():
	}
	return nil
}
