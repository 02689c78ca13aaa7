package member

import (
	"errors"
	"time"
)

const (
	seedTries = 2                      // seeds asked in one round besides the first
	seedFirst = time.Millisecond       // pause after the first round
	seedSoon  = 20 * time.Millisecond  // longest pause until the first warning
	seedMost  = 500 * time.Millisecond // longest pause after it
	seedWarn  = 2 * time.Second        // between warnings
)

// askSeeds asks the seeds until one lets this node in.
func (g *Group) askSeeds() {
	pause := seedFirst
	begin, warned := time.Now(), time.Now()
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
			most = seedSoon
		}
		pause = min(2*pause, most)
	}
}

// trySeeds asks the first seed, who founds the cluster when all is new, and a
// few of the others in turn.
func (g *Group) trySeeds(round int) error {
	seeds := g.cfg.Seeds
	tries := seeds[:1:1]
	if rest := seeds[1:]; len(rest) > 0 {
		for i := range min(len(rest), seedTries) {
			tries = append(tries, rest[(round*seedTries+i)%len(rest)])
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
