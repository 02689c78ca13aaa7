package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// undoTime is how long an interrupted command may take to clean up.
const undoTime = time.Minute

// command is a program that is asked to end, not killed, when ctx does.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGINT) }
	c.WaitDelay = undoTime
	return c
}

// output runs a command and returns its stdout; an error has the end of its stderr.
func output(c *exec.Cmd) (string, error) {
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		text := errs.String()
		return out.String(), fmt.Errorf("run %s: %w: %s", strings.Join(c.Args, " "), err, text[max(0, len(text)-2000):])
	}
	return out.String(), nil
}

// onemore runs the program under test with a home of its own, and returns its stdout.
func (b *bench) onemore(ctx context.Context, args ...string) (string, error) {
	c := command(ctx, b.bin, args...)
	c.Env = append(os.Environ(), "ONEMORE_HOME="+b.home)
	return output(c)
}

// timed is onemore as a step: the time of the whole command.
func (b *bench) timed(args ...string) step {
	return func(ctx context.Context) (time.Duration, error) {
		begin := time.Now()
		_, err := b.onemore(ctx, args...)
		return time.Since(begin), err
	}
}

// untimed is a step for what lies between two that count.
func (b *bench) untimed(args ...string) step {
	s := b.timed(args...)
	return func(ctx context.Context) (time.Duration, error) {
		_, err := s(ctx)
		return 0, err
	}
}

// clusterStatus is what the bench reads of `onemore status --json`.
type clusterStatus struct {
	Keeper int `json:"keeper_pid"`
	Nodes  []struct {
		PID       int               `json:"pid"`
		Listeners map[string]string `json:"listeners"`
	} `json:"nodes"`
}

func (b *bench) status(ctx context.Context) (clusterStatus, error) {
	var st clusterStatus
	out, err := b.onemore(ctx, "status", "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &st)
	}
	return st, err
}

// build compiles a package of this module as `make build` does.
func (b *bench) build(ctx context.Context, pkg, name string) (string, error) {
	bin := filepath.Join(b.scratch, name)
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	c := command(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, pkg)
	c.Dir, c.Env = b.root, append(os.Environ(), "CGO_ENABLED=0")
	_, err := output(c)
	return bin, err
}

// printedMS is a step whose program prints its own time in milliseconds as the last word.
func printedMS(make func(context.Context) *exec.Cmd) step {
	return func(ctx context.Context) (time.Duration, error) {
		out, err := output(make(ctx))
		if err != nil {
			return 0, err
		}
		f := strings.Fields(out)
		if len(f) == 0 {
			return 0, fmt.Errorf("the program printed no time")
		}
		v, err := strconv.ParseFloat(f[len(f)-1], 64)
		if err != nil {
			return 0, fmt.Errorf("read the program's time: %w", err)
		}
		return time.Duration(v * float64(time.Millisecond)), nil
	}
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := output(command(ctx, "go", "env", "GOMOD"))
	if err != nil {
		return "", err
	}
	mod := strings.TrimSpace(out)
	if mod == "" || mod == os.DevNull {
		return "", fmt.Errorf("run the bench inside the module")
	}
	return filepath.Dir(mod), nil
}
