package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

var (
	errNodeDown         = errors.New("node_down")
	errAlreadyInCluster = errors.New("already_in_cluster")
	errIgnored          = errors.New("ignore")
	errNotInCluster     = errors.New("node_not_in_cluster")
	errBusy             = errors.New("busy")
)

// seeker looks for the cluster of the seeds.
type seeker struct {
	changer
	seeds []nodeName
}

// run tries again for as long as the discovery is not complete: for ever, if this node is not among the seeds.
func (s seeker) run(ctx context.Context) {
	for pause := firstRound; ; pause = min(2*pause, roundTime) {
		joined, over := s.round(ctx)
		if over {
			return
		}
		s.log.printf("warning", "Ekka(AutoCluster): discovery did not succeed; retrying in 5000 ms")
		if joined {
			pause = firstRound
		}
		if s.pace.wait(ctx, pause) != nil {
			return
		}
	}
}

// round joins the node that has run longest of the seeds that are alive, unless they are just the members that are known. It is
// complete when this node is one of the seeds, and all of them run in its cluster.
func (s seeker) round(ctx context.Context) (joined, over bool) {
	alive := s.aliveSeeds(ctx)
	s.mu.Lock()
	stop := s.manual || s.alone
	known := slices.Clone(s.schema.Members)
	s.mu.Unlock()
	if stop {
		return false, true
	}
	if target := oldest(alive); len(alive) > 0 && !slices.Equal(slices.Sorted(maps.Keys(alive)), known) && target != s.self {
		err := s.join(ctx, target)
		joined = err == nil
		if err != nil && !errors.Is(err, errAlreadyInCluster) {
			s.log.printf("warning", "Ekka(AutoCluster): join '%s': %v", target, err)
		}
	}
	running, _ := s.view()
	outside := func(seed nodeName) bool { return !slices.Contains(running, seed) }
	return joined, slices.Contains(s.seeds, s.self) && !slices.ContainsFunc(s.seeds, outside)
}

// aliveSeeds says since when each of the seeds has run that answer.
func (s seeker) aliveSeeds(ctx context.Context) map[nodeName]time.Time {
	alive := map[nodeName]time.Time{}
	for _, seed := range s.seeds {
		if seed == s.self {
			alive[seed] = s.started
			continue
		}
		if answer, err := ask(ctx, s.cookie, request{Op: opSurvey, From: s.self, To: seed}); err == nil && answer.Error == "" {
			alive[seed] = answer.Started
		}
	}
	return alive
}

func oldest(alive map[nodeName]time.Time) nodeName {
	var first nodeName
	for _, seed := range slices.Sorted(maps.Keys(alive)) {
		if first == "" || alive[seed].Before(alive[first]) {
			first = seed
		}
	}
	return first
}

// changer changes the cluster that a node is in. One change at a time: who finds another under way is refused.
type changer struct{ *cluster }

// join leaves the present cluster without a word, drops this node's data and enters the target's. Meanwhile the applications
// are stopped. If the target has gone by then the node stays alone, and from 5.8 on without its applications.
func (c changer) join(ctx context.Context, target nodeName) error {
	if err := c.beginJoin(target); err != nil {
		return err
	}
	err := c.enterCluster(ctx, target)
	c.mu.Lock()
	c.joining, c.entering = false, false
	c.touch()
	c.mu.Unlock()
	if err == nil || !errors.Is(err, errBusy) && !errors.Is(err, errNodeDown) && !c.since(5, 8) {
		c.apps.start(ctx)
	}
	return err
}

func (c changer) beginJoin(target nodeName) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case target == c.self:
		return errIgnored
	case c.schema.has(target) && c.links.up(target):
		return errAlreadyInCluster
	case c.joining || c.healing || c.alone:
		return errNodeDown
	}
	c.joining = true
	return nil
}

// enterCluster returns errNodeDown or errBusy if nothing was begun.
func (c changer) enterCluster(ctx context.Context, target nodeName) error {
	answer, err := ask(ctx, c.cookie, request{Op: opSurvey, From: c.self, To: target})
	if err == nil && answer.Error != "" {
		err = errBusy
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNodeDown, err)
	}
	c.apps.stop()
	if err := c.pace.wait(ctx, joinTime); err != nil {
		return err
	}
	if answer, err = ask(ctx, c.cookie, request{Op: opAdmit, From: c.self, To: target}); err != nil || answer.Error != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reset(newSchema(c.self))
		return fmt.Errorf("join '%s': it has gone meanwhile: %v %s", target, err, answer.Error)
	}
	s := schema{ID: answer.Schema, Members: answer.Members}
	s.add(c.self)
	c.mu.Lock()
	c.reset(s)
	c.retained, c.licensed = answer.messages(), c.licensed || answer.Licensed
	c.joining, c.entering = false, true
	c.mu.Unlock()
	c.greet(ctx)
	return nil
}

// leave tells the members that run and begins anew: that takes its time, in which it is a node like others.
func (c changer) leave(ctx context.Context) error {
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
	c.joining = false
	c.reset(newSchema(c.self))
	c.mu.Unlock()
	c.apps.stop()
	if err := c.pace.wait(ctx, leaveTime); err != nil {
		return err
	}
	c.apps.start(ctx)
	return nil
}

// forceLeave throws another node out. One that is down does not hear of it, and is back when it starts with its data.
func (c changer) forceLeave(ctx context.Context, node nodeName) error {
	c.mu.Lock()
	known, runs := c.schema.has(node), c.links.up(node)
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
