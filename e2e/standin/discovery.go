package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Rounds of static discovery; a round that changes nothing doubles the time until the next.
const (
	firstRound = 20 * time.Millisecond
	lastRound  = 500 * time.Millisecond
)

var (
	errNodeDown         = errors.New("node_down")
	errAlreadyInCluster = errors.New("already_in_cluster")
	errIgnored          = errors.New("ignore")
	errNotInCluster     = errors.New("node_not_in_cluster")
	errBusy             = errors.New("busy")
)

// discover joins the cluster of the seeds. It ends when every seed is in this node's cluster, or a command has changed
// membership. A node that remembers a cluster does not look for one.
func (c *cluster) discover(ctx context.Context, seeds []nodeName, p pace) {
	c.mu.Lock()
	member := len(c.schema.Members) > 1
	c.mu.Unlock()
	if member {
		return
	}
	for pause := firstRound; ; pause = min(2*pause, lastRound) {
		target, over := c.round(ctx, seeds)
		if over {
			return
		}
		if target != "" {
			if err := c.join(ctx, target); err != nil {
				c.log.printf("debug", "autocluster: join '%s': %v", target, err)
			}
			pause = firstRound
		}
		if p.wait(ctx, pause) != nil {
			return
		}
	}
}

// standing orders clusters: everyone in a smaller one joins the greater. One with members beats a lone node, then the
// one with the earlier seed wins, so that nodes which start at once end up in one cluster. Only members that run count:
// one that has moved on is still listed in its old cluster, and would make the two equal for ever.
type standing struct {
	alone bool
	rank  int
}

func standingOf(running, seeds []nodeName) standing {
	rank := slices.IndexFunc(seeds, func(seed nodeName) bool { return slices.Contains(running, seed) })
	if rank < 0 {
		rank = len(seeds)
	}
	return standing{alone: len(running) == 1, rank: rank}
}

func (s standing) beats(other standing) bool {
	if s.alone != other.alone {
		return other.alone
	}
	return s.rank < other.rank
}

// round asks every seed which cluster it is in, and names the one to join, if any.
func (c *cluster) round(ctx context.Context, seeds []nodeName) (target nodeName, over bool) {
	c.mu.Lock()
	own, running, manual := c.schema.ID, append(c.runningPeers(), c.self), c.manual
	c.mu.Unlock()
	if manual || c.neverJoin {
		return "", true
	}
	best, over := standingOf(running, seeds), true
	for _, seed := range seeds {
		if seed == c.self {
			continue
		}
		answer, err := ask(ctx, c.cookie, request{Op: opSurvey, From: c.self, To: seed})
		if err != nil || answer.Error != "" {
			over = false
			continue
		}
		if answer.Schema == own {
			continue
		}
		over = false
		if other := standingOf(answer.Members, seeds); other.beats(best) {
			target, best = seed, other
		}
	}
	return target, over
}

// join leaves the present cluster without a word, drops this node's data and enters the target's.
func (c *cluster) join(ctx context.Context, target nodeName) error {
	c.mu.Lock()
	switch {
	case target == c.self:
		c.mu.Unlock()
		return errIgnored
	case c.schema.has(target) && len(c.links[target]) > 0:
		c.mu.Unlock()
		return errAlreadyInCluster
	case c.joining || c.neverJoin:
		c.mu.Unlock()
		return errNodeDown
	}
	c.joining = true
	c.mu.Unlock()
	answer, err := ask(ctx, c.cookie, request{Op: opAdmit, From: c.self, To: target})
	if err == nil && answer.Error != "" {
		err = errBusy
	}
	c.mu.Lock()
	c.joining = false
	if err != nil {
		c.mu.Unlock()
		return fmt.Errorf("%w: %w", errNodeDown, err)
	}
	s := schema{ID: answer.Schema, Members: answer.Members}
	s.add(c.self)
	c.reset(s)
	c.entering = true
	c.mu.Unlock()
	c.greet(ctx)
	c.mu.Lock()
	c.entering = false
	c.touch()
	c.mu.Unlock()
	return nil
}

// leave tells the members that run, and begins anew.
func (c *cluster) leave(ctx context.Context) error {
	c.mu.Lock()
	if len(c.schema.Members) == 1 {
		c.mu.Unlock()
		return errNotInCluster
	}
	c.manual, c.joining = true, true
	peers := c.runningPeers()
	c.mu.Unlock()
	c.tell(ctx, peers, request{Op: opDrop, Node: c.self})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joining = false
	c.reset(newSchema(c.self))
	return nil
}

// forceLeave throws another node out. One that is down does not hear of it, and is back when it starts with its data.
func (c *cluster) forceLeave(ctx context.Context, node nodeName) error {
	c.mu.Lock()
	known, runs := c.schema.has(node), len(c.links[node]) > 0
	peers := c.runningPeers()
	c.mu.Unlock()
	switch {
	case node == c.self:
		return errIgnored
	case !known:
		return errNotInCluster
	case runs:
		c.tell(ctx, []nodeName{node}, request{Op: opExpel, Node: node})
	}
	c.tell(ctx, peers, request{Op: opDrop, Node: node})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(node)
	return nil
}
