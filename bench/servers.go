package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// contest is one server: `up 3` against scripts in scripts/, which start three nodes, wait until all are one cluster, print
// the milliseconds, and leave nothing behind.
type contest struct {
	name, program string
	rounds        int      // times the usual number: what is quick is noisier, and elections are drawn by lot
	args          []string // of up, besides the number
	against       []rival
}

type rival struct {
	script, words string
	goal          float64
}

func contests() []contest {
	return []contest{
		{"nats", "nats-server", 4, []string{"-t", "nats"}, []rival{{"nats.sh", "script", 1.5}}},
		{"jetstream", "nats-server", 4, []string{"-t", "nats", "--param", "jetstream=true"}, []rival{{"jetstream.sh", "script", 1.15}}},
		{"etcd", "etcd", 2, []string{"-t", "etcd"}, []rival{{"etcd.sh", "staged by script", 1.15}, {"etcd-naive.sh", "all at once", 0.5}}},
		{"redis", "redis-server", 1, []string{"-t", "redis"}, []rival{{"redis.sh", "script", 1.15}, {"redis-naive.sh", "redis-cli --cluster create", 0.95}}},
		{"rabbitmq", "rabbitmqctl", 1, []string{"-t", "rabbitmq"}, []rival{{"rabbitmq.sh", "script", 1.15}, {"rabbitmq-naive.sh", "rabbitmqctl, one by one", 0.9}}},
	}
}

// servers compares `up 3` of real servers with what a person would write by hand.
func servers(ctx context.Context, b *bench) ([]row, error) {
	var rows []row
	for _, c := range contests() {
		if len(b.only) > 0 && !slices.Contains(b.only, c.name) {
			continue
		}
		if _, err := exec.LookPath(c.program); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", c.name, err)
			continue
		}
		rs, err := b.contest(ctx, c)
		rows = append(rows, rs...)
		if err != nil {
			return rows, fmt.Errorf("server %q: %w", c.name, err)
		}
	}
	return rows, nil
}

func (b *bench) contest(ctx context.Context, c contest) ([]row, error) {
	args := slices.Concat([]string{"up", "3", "--base", "auto", "-q"}, c.args)
	steps := []step{b.timed(args...), b.untimed("down", "-q")}
	var against []rival
	for _, r := range c.against {
		path := filepath.Join(b.root, "bench", "scripts", r.script)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(os.Stderr, "bench: there is no %s\n", path)
			continue
		}
		against = append(against, r)
		steps = append(steps, printedMS(func(ctx context.Context) *exec.Cmd { return command(ctx, "/bin/sh", path) }))
	}
	if len(against) == 0 {
		return nil, nil
	}
	t, err := inTurn(ctx, c.rounds*b.runs, steps...)
	if err != nil {
		return nil, err
	}
	var rows []row
	for i, r := range against {
		rows = append(rows, atMost("`onemore up 3` of "+c.name, t[0], t[2+i], r.words, r.goal))
	}
	return rows, nil
}
