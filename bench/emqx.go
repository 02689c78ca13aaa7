package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// overhead compares `up 3` of the stand-in for EMQX with the slowest of its nodes: from the moment that its process was
// started until its log says that it runs. What is above is the launcher's: the plan, the copies, the edits, the keeper; but
// also the time that the nodes take to find each other.
func overhead(ctx context.Context, b *bench) ([]row, error) {
	standin, err := b.build(ctx, "./e2e/standin", "standin")
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, version := range []string{"4.4", "5.0"} {
		source := filepath.Join(b.scratch, "emqx"+version)
		if _, err := output(command(ctx, standin, "release", version, source)); err != nil {
			return rows, err
		}
		above, slowest, err := b.least(ctx, source)
		if err != nil {
			return rows, err
		}
		r := within("`onemore up 3` of the stand-in for EMQX "+version+", above its slowest node", above, 300*time.Millisecond)
		r.reference = ms(slowest) + " slowest node"
		rows = append(rows, r)
	}
	return rows, nil
}

// least returns the round in which up took the least above its slowest node: two times are subtracted that other work on the
// machine makes longer, each in its own way, so a median would measure that work.
func (b *bench) least(ctx context.Context, source string) (above, slowest time.Duration, err error) {
	up, down := b.timed("up", "3", "-s", source, "--base", "auto", "-q"), b.timed("down", "-q")
	for round := range b.rounds(3) {
		whole, err := up(ctx)
		if err != nil {
			return 0, 0, err
		}
		start, err := b.slowestStart()
		if err != nil {
			return 0, 0, err
		}
		if round == 0 || whole-start < above {
			above, slowest = whole-start, start
		}
		if _, err := down(ctx); err != nil {
			return 0, 0, err
		}
		fmt.Fprint(os.Stderr, ".")
	}
	fmt.Fprintln(os.Stderr)
	return above, slowest, nil
}

// slowestStart is how long the slowest node of the cluster took from its start to its own word that it runs.
func (b *bench) slowestStart() (time.Duration, error) {
	dir := filepath.Join(b.home, "default")
	started, err := startTimes(filepath.Join(dir, "events.jsonl"))
	if err != nil {
		return 0, err
	}
	var slowest time.Duration
	for node, begin := range started {
		text, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(node), "node.log"))
		if err != nil {
			return 0, err
		}
		line, _, ok := strings.Cut(string(text), " is running now!")
		if !ok {
			return 0, fmt.Errorf("node %d did not say that it runs", node)
		}
		stamp, _, _ := strings.Cut(line[strings.LastIndexByte(line, '\n')+1:], " ")
		end, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			return 0, err
		}
		slowest = max(slowest, end.Sub(begin))
	}
	if slowest <= 0 {
		return 0, fmt.Errorf("no node was started, says %s", dir)
	}
	return slowest, nil
}

// startTimes reads from a cluster's events when each node was started.
func startTimes(events string) (map[int]time.Time, error) {
	f, err := os.Open(events)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	started := map[int]time.Time{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e struct {
			Time  time.Time `json:"time"`
			Node  int       `json:"node"`
			Phase string    `json:"phase"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("read %s: %w", events, err)
		}
		if e.Phase == "starting" {
			started[e.Node] = e.Time
		}
	}
	return started, lines.Err()
}
