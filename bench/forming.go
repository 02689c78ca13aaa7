package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// What `floor -usage` prints of one node, besides the time.
const (
	usageCPU = 1 + iota // milliseconds
	usageFaults
	usagePackets
	usageStreams
)

// forming counts what a node does until its cluster has formed. Wall time says little about that on a machine with few
// processors, or where system calls are slow; CPU, page faults and packets do.
func forming(ctx context.Context, b *bench) ([]row, error) {
	floor, err := b.build(ctx, "./nodecore/internal/floor", "floor")
	if err != nil {
		return nil, err
	}
	var rows []row
	var least []float64 // of the first, smallest cluster
	for _, n := range b.sizes {
		u, err := b.usage(ctx, floor, n)
		if err != nil {
			return rows, err
		}
		what := fmt.Sprintf(" per node until %d have formed", n)
		cpu := row{what: "CPU" + what, measured: fmt.Sprintf("%.1f ms", u[usageCPU]), reference: "–", ratio: "–", goal: "–"}
		faults := row{what: "minor page faults" + what, measured: fmt.Sprintf("%.0f", u[usageFaults]), reference: "–", ratio: "–", goal: "–"}
		if least == nil {
			least = u
			faults.goal, faults.ok = "≤ 500", u[usageFaults] <= 500
		} else {
			r := u[usageCPU] / least[usageCPU]
			cpu.reference, cpu.ratio = fmt.Sprintf("%.1f ms at %d", least[usageCPU], b.sizes[0]), fmt.Sprintf("%.2f", r)
			cpu.goal, cpu.ok = "≤ 2.00 ×", r <= 2
		}
		rows = append(rows, cpu, faults, row{
			what: "packets and streams" + what, measured: fmt.Sprintf("%.1f and %.1f", u[usagePackets], u[usageStreams]), reference: "–", ratio: "–", goal: "–",
		})
	}
	return rows, nil
}

// usage returns the medians of what the floor prints.
func (b *bench) usage(ctx context.Context, floor string, n int) ([]float64, error) {
	c := command(ctx, floor, "-usage", "-n", strconv.Itoa(n), "-rounds", strconv.Itoa(b.rounds(n)))
	c.Env = append(os.Environ(), "TMPDIR="+b.temp)
	out, err := output(c)
	if err != nil {
		return nil, err
	}
	var columns [usageStreams + 1][]float64
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != len(columns) {
			return nil, fmt.Errorf("read what the floor has used: %q has %d numbers", lines.Text(), len(fields))
		}
		for i, f := range fields {
			v, err := strconv.ParseFloat(f, 64)
			if err != nil {
				return nil, fmt.Errorf("read what the floor has used: %w", err)
			}
			columns[i] = append(columns[i], v)
		}
	}
	medians := make([]float64, len(columns))
	for i, c := range columns {
		if len(c) == 0 {
			return nil, fmt.Errorf("the floor printed nothing")
		}
		medians[i] = median(c)
	}
	return medians, nil
}
