package cli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func exportCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{Use: "export", Short: "Write what runs the cluster without onemore",
		Long:    "export writes what runs the same cluster under another supervisor: the cluster that is there, else the one that `up` with the same flags would make. docs/export.md says what can be exported.",
		Example: "  onemore export systemd -t nats -o units"}
	cmd.AddCommand(exportSystemdCommand(c))
	return cmd
}

func exportSystemdCommand(c *call) *cobra.Command {
	var f planFlags
	var out string
	cmd := &cobra.Command{Use: "systemd [N]", Short: "Units for a host with systemd",
		Long:    "systemd writes a hardened unit for each node, a target for all of them, and the nodes' directories, as a tree that is laid over the root of a host: cp -R DIR/. /",
		Example: "  onemore export systemd -t nats -o units\n  onemore -c mine export systemd -o units",
		Args:    takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := c.wholeStack()
			if err != nil {
				return err
			}
			if s != nil {
				return &launcher.InputError{Err: fmt.Errorf("export is about one cluster, and stack %q has several", s.Name), Hint: "name one with -c"}
			}
			o, err := f.options(c)
			if err != nil {
				return err
			}
			if err := parseCount(cmd, args, &o); err != nil {
				return err
			}
			if out == "" {
				return usage(cmd, errors.New("--output names no folder"))
			}
			return runExport(cmd.Context(), c, o, "systemd", out)
		}}
	f.add(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "folder to write into; it must be absent or empty")
	return cmd
}

// exported is what `--json` prints of an export.
type exported struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"` // below it
}

func runExport(ctx context.Context, c *call, o launcher.Options, engine, dir string) error {
	files, err := launcher.Export(ctx, o, engine, dir)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(exported{dir, files})
	}
	for _, f := range files {
		fmt.Fprintln(c.Stdout, f)
	}
	if !c.quiet {
		target := path.Base(files[slices.IndexFunc(files, func(f string) bool { return path.Ext(f) == ".target" })])
		fmt.Fprintf(c.Stderr, "onemore: to install: cp -R %s/. / && systemd-sysusers && systemctl daemon-reload && systemctl enable --now %s\n", dir, target)
	}
	return nil
}
