package member

import (
	"errors"
	"time"
)

const (
	seedFirst = time.Millisecond       // pause after the first round
	seedEach  = time.Millisecond / 2   // longest pause until the first warning, for every seed
	seedMost  = 500 * time.Millisecond // longest pause after it
	seedWarn  = 2 * time.Second        // between warnings
	seedTurn  = 4                      // rounds between two in which another seed than the first is asked
	seedTries = 2                      // other seeds asked then
)

// askSeeds asks the seeds until one lets this node in. While a cluster starts,
// all its nodes do so at once and wait for the first: it must not cost much.
func (g *Group) askSeeds() {
	pause := seedFirst
	begin, warned := time.Now(), time.Now()
	soon := max(5*time.Millisecond, time.Duration(len(g.cfg.Seeds))*seedEach)
	for round := 0; g.pending(); round++ {
		err := g.trySeeds(round)
		if err == nil {
			return
		}
		if time.Since(warned) > seedWarn {
			g.log.Warn("no seed lets this node in yet", "error", err)
			warned = time.Now()
		}
		if wait(g.ctx, pause) != nil {
			return
		}
		most := seedMost
		if time.Since(begin) < seedWarn {
			most = soon
		}
		pause = min(2*pause, most)
	}
}

// trySeeds asks the first seed, who founds the cluster when all is new, and
// every few rounds a few of the others in turn.
func (g *Group) trySeeds(round int) error {
	seeds := g.cfg.Seeds
	tries := seeds[:1:1]
	if rest := seeds[1:]; len(rest) > 0 && round%seedTurn == seedTurn-1 {
		for i := range min(len(rest), seedTries) {
			tries = append(tries, rest[(round/seedTurn*seedTries+i)%len(rest)])
		}
	}
	var errs []error
	for _, t := range tries {
		if t.Name == g.cfg.Name {
			continue
		}
		err := g.trySeed(t)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (g *Group) trySeed(t Target) error {
	ctx, cancel := g.during(g.ctx, joinTime)
	defer cancel()
	release, err := g.takeOp(ctx)
	if err != nil {
		return err
	}
	defer release()
	if !g.pending() {
		return nil // joined by hand meanwhile
	}
	l, err := g.talk(ctx, t.Name, t.Addr)
	if err != nil {
		return err
	}
	defer l.done()
	a, id, err := g.askIn(l, t)
	if err != nil {
		return err
	}
	if err := g.moveTo(ctx, a, id, false); err != nil {
		return err
	}
	g.log.Info("joined cluster", "cluster", a.Cluster, "by", t.Name)
	if err := g.arrive(l, a); err != nil {
		g.log.Warn("meet the seed", "seed", t.Name, "error", err) // heal goes on from here
	}
	return nil
}
