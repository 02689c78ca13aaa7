// Man writes what a package of onemore has beside the program: manual pages and completions of shells, as the tree that
// belongs into PREFIX/share. It is a program of its own, so that what renders the pages is linked into nothing that runs a cluster.
//
//	go run ./docs/man DIR
//
// SOURCE_DATE_EPOCH, where it is set, is the date of the pages.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"onemore/launcher/cli"
	nodecli "onemore/nodecore/cli"
)

// scripts are the completions: each shell, and where it looks for them.
var scripts = map[string]string{
	"bash": "bash-completion/completions/onemore",
	"zsh":  "zsh/site-functions/_onemore",
	"fish": "fish/vendor_completions.d/onemore.fish",
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "man: error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("man takes the folder to write to")
	}
	clearDefaults()
	if err := writePages(filepath.Join(args[0], "man", "man1")); err != nil {
		return err
	}
	return writeScripts(args[0])
}

// clearDefaults takes out of the environment what onemore would show as the default of a flag.
func clearDefaults() {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "ONEMORE_") {
			_ = os.Unsetenv(name) // fails for names that can't stand in an environment only
		}
	}
}

// app is the command line as main has it, with output to w.
func app(w io.Writer) cli.App {
	return cli.App{Stdout: w, Stderr: os.Stderr, Extra: []*cobra.Command{nodecli.NodeCommand(nodecli.Streams{})}}
}

// writePages writes a page for every command.
func writePages(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := app(io.Discard).Command()
	root.DisableAutoGenTag = true // no line about the generator and the day
	header := &doc.GenManHeader{Section: "1", Source: "onemore", Manual: "onemore"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		return fmt.Errorf("write manual pages to %q: %w", dir, err)
	}
	return nil
}

// writeScripts writes what `onemore completion` prints for each shell.
func writeScripts(dir string) error {
	for shell, path := range scripts {
		var script bytes.Buffer
		if code := app(&script).Run(context.Background(), []string{"completion", shell}); code != 0 {
			return fmt.Errorf("make the completion for %q: onemore ended with exit code %d", shell, code)
		}
		file := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, script.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
