package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// upAndDown compares `up N` with the floor, the same nodes started by hand, and takes the time of each `down`. For
// information it has how far `up` is from nodes that are nothing but members.
func upAndDown(ctx context.Context, b *bench) ([]row, error) {
	floor, err := b.build(ctx, "./nodecore/internal/floor", "floor")
	if err != nil {
		return nil, err
	}
	goals := map[int]float64{3: 4}
	limits := map[int]time.Duration{3: 60 * time.Millisecond, 100: time.Second}
	var rows, members, downs []row
	for _, n := range b.sizes {
		t, err := b.upOnce(ctx, floor, n)
		if err != nil {
			return slices.Concat(rows, members, downs), err
		}
		goal, ok := goals[n]
		if !ok {
			goal = 2
		}
		up := fmt.Sprintf("`onemore up %d`", n)
		rows = append(rows, atMost(up, t[2], t[0], "floor", goal))
		members = append(members, forInformation(atMost(up, t[2], t[1], "bare members", 0)))
		if limit, ok := limits[n]; ok {
			downs = append(downs, within(fmt.Sprintf("`onemore down` of %d", n), t[3], limit))
		}
	}
	return slices.Concat(rows, members, downs), nil
}

// upOnce measures the floor, bare members, `up` and `down` with n nodes, in turn.
func (b *bench) upOnce(ctx context.Context, floor string, n int) ([]time.Duration, error) {
	count := strconv.Itoa(n)
	bare := func(args ...string) step {
		return printedMS(func(ctx context.Context) *exec.Cmd {
			c := command(ctx, floor, append([]string{"-n", count}, args...)...)
			c.Env = append(os.Environ(), "TMPDIR="+b.temp)
			return c
		})
	}
	return inTurn(ctx, b.rounds(n), bare(), bare("-members"), b.timed("up", count, "--base", "auto", "-q"), b.timed("down", "-q"))
}

// upOnDisk is `up 30` with the directories on the disk; the floor's few files are there too. What is above the same in
// memory is the disk's.
func upOnDisk(ctx context.Context, b *bench) (rows []row, err error) {
	floor, err := b.build(ctx, "./nodecore/internal/floor", "floor")
	if err != nil {
		return nil, err
	}
	d, done, err := b.onDisk()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	for _, n := range b.sizes {
		t, err := d.upOnce(ctx, floor, n)
		if err != nil {
			return rows, err
		}
		rows = append(rows, forInformation(atMost(fmt.Sprintf("`onemore up %d`, directories on the disk", n), t[2], t[0], "floor", 0)))
	}
	return rows, nil
}

// rounds is how often a measurement with n nodes is made: quick ones are noisier.
func (b *bench) rounds(n int) int {
	switch {
	case n <= 10:
		return 4 * b.runs
	case n <= 50:
		return 2 * b.runs
	}
	return b.runs
}

// memory reads what the nodes and the keeper of a settled cluster of 30 hold.
func memory(ctx context.Context, b *bench) ([]row, error) {
	if _, err := b.onemore(ctx, "up", "30", "--base", "auto", "-q"); err != nil {
		return nil, err
	}
	st, err := b.status(ctx)
	if err != nil {
		return nil, err
	}
	var nodes []float64
	for _, n := range st.Nodes {
		v, err := pss(n.PID)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, v)
	}
	keeper, err := pss(st.Keeper)
	if err != nil {
		return nil, err
	}
	_, err = b.onemore(ctx, "down", "-q")
	return []row{
		megabytes("memory (PSS) of a node, median of 30", median(nodes), 6),
		megabytes("memory (PSS) of the keeper of 30", keeper, 15),
	}, err
}

func megabytes(what string, v, limit float64) row {
	return row{what, fmt.Sprintf("%.1f MB", v), "–", "–", fmt.Sprintf("≤ %.0f MB", limit), v <= limit}
}

// pss is a process's proportional share of memory, in MB.
func pss(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("process %d has no PSS", pid)
}

// runCommand compares a cluster for the life of one command with the same by two commands.
func runCommand(ctx context.Context, b *bench) ([]row, error) {
	t, err := inTurn(ctx, b.rounds(3),
		b.timed("up", "3", "--base", "auto", "-q"), b.timed("down", "-q"), b.timed("run", "3", "--", "true"))
	if err != nil {
		return nil, err
	}
	return []row{atMost("`onemore run 3 -- true`", t[2], t[0]+t[1], "`up 3` + `down`", 1.6)}, nil
}

// copyTree runs the comparison that stands beside the code that copies.
func copyTree(ctx context.Context, b *bench) ([]row, error) {
	c := command(ctx, "go", "test", "-run", "^$", "-bench", "CopyThree", "-benchtime", strconv.Itoa(min(b.runs, 2))+"x", "./launcher/internal/nodedir")
	c.Dir, c.Env = b.root, append(os.Environ(), "TMPDIR="+b.scratch)
	out, err := output(c)
	if err != nil {
		return nil, err
	}
	seconds := map[string]time.Duration{}
	f := strings.Fields(out)
	for i, unit := range f {
		if v, err := strconv.ParseFloat(f[max(0, i-1)], 64); err == nil {
			seconds[unit] = time.Duration(v * float64(time.Second))
		}
	}
	ours, theirs := seconds["copy-s"], seconds["cp-s"]
	if ours == 0 || theirs == 0 {
		return nil, fmt.Errorf("the benchmark printed no copy-s and cp-s:\n%s", out)
	}
	return []row{atMost("copy × 3 of 2000 files, 300 MB", ours, theirs, "`cp -r` × 3", 0.6)}, nil
}
