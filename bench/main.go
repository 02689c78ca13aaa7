// Bench measures what the project promises about speed and memory, against a reference that runs in turn with it on the
// same machine, and prints one table in Markdown. docs/benchmarks.md says how to read it.
//
// It is a program, not a set of Go benchmarks, because whole commands and processes are measured. Start at parts.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// part is one group of rows; quick parts are listed first.
type part struct {
	name string
	run  func(context.Context, *bench) ([]row, error)
}

func parts() []part {
	return []part{
		{"up", upAndDown},
		{"forming", forming},
		{"disk", upOnDisk},
		{"memory", memory},
		{"run", runCommand},
		{"mqtt", mqtt},
		{"copy", copyTree},
		{"emqx", overhead},
		{"servers", servers},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	bin := flag.String("onemore", "bin/onemore", "the program to measure")
	only := flag.String("only", "", "parts to run, separated by commas: "+strings.Join(names, ", "))
	runs := flag.Int("runs", 5, "rounds of the slow measurements; quick ones get more")
	homes := flag.String("home", "", "where clusters are made; default: in memory, if there is such a folder")
	sizes := flag.String("sizes", "3,30,100", "numbers of nodes for the part up")
	chosen := flag.String("server", "", "of the part servers, only these (separated by commas)")
	flag.Parse()
	b, err := newBench(ctx, *bin, *homes, *runs)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := b.close(); err == nil {
			err = cerr
		}
	}()
	if b.sizes, err = numbers(*sizes); err != nil {
		return err
	}
	b.only = words(*chosen)
	return b.table(ctx, words(*only))
}

// table runs the parts and prints their rows as they come.
func (b *bench) table(ctx context.Context, only []string) error {
	fmt.Println("| what | measured | reference | ratio | to reach | reached |\n|---|---|---|---|---|---|")
	for _, p := range parts() {
		if len(only) > 0 && !slices.Contains(only, p.name) {
			continue
		}
		rows, err := p.run(ctx, b)
		for _, r := range rows {
			fmt.Println(r)
		}
		if err != nil {
			return fmt.Errorf("part %q: %w", p.name, err)
		}
	}
	return nil
}

// bench is what the parts share.
type bench struct {
	bin     string // absolute path of onemore
	root    string // of the module
	scratch string // on a disk; removed at the end
	home    string // ONEMORE_HOME
	temp    string // where home is; removed at the end
	runs    int
	sizes   []int
	only    []string
}

// newBench makes the folders: scratch on a disk, for what is about copies; the clusters in memory, so that what the disk is
// busy with doesn't count, or below homes.
func newBench(ctx context.Context, bin, homes string, runs int) (_ *bench, err error) {
	b := &bench{runs: max(1, runs)}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.remove())
		}
	}()
	if b.bin, err = filepath.Abs(bin); err != nil {
		return nil, err
	}
	if _, err := os.Stat(b.bin); err != nil {
		return nil, fmt.Errorf("find the program to measure: %w (make build)", err)
	}
	if b.root, err = moduleRoot(ctx); err != nil {
		return nil, err
	}
	if b.scratch, err = os.MkdirTemp(diskFolder(), "onemore-bench-"); err != nil {
		return nil, err
	}
	if b.temp, err = os.MkdirTemp(cmp.Or(homes, memoryFolder(), b.scratch), "omb-"); err != nil {
		return nil, err
	}
	b.home = filepath.Join(b.temp, "home")
	return b, os.Mkdir(b.home, 0o700)
}

// onDisk is the same bench with its clusters on the disk; call done when they are down.
func (b *bench) onDisk() (d *bench, done func() error, err error) {
	other := *b
	other.temp = b.scratch
	other.home = filepath.Join(b.scratch, "home")
	err = os.MkdirAll(other.home, 0o700)
	return &other, other.down, err
}

// down takes down every cluster.
func (b *bench) down() error {
	_, err := b.onemore(context.Background(), "down", "--all", "-q")
	return err
}

// close takes down what a part left after an error, and removes the folders.
func (b *bench) close() error { return errors.Join(b.down(), b.remove()) }

func (b *bench) remove() error {
	var errs []error
	for _, dir := range []string{b.temp, b.scratch} {
		if dir != "" {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}

// words splits a list that was given on the command line.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
