package member

import (
	"context"
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

// bootstrap gets a node into its first cluster.
type bootstrap struct {
	*transition
	dns foundBy
}

// run asks the seeds until one lets this node in. While a cluster starts,
// all its nodes do so at once and wait for the first: it must not cost much.
func (bs *bootstrap) run() {
	pause := seedFirst
	begin, warned := time.Now(), time.Now()
	soon := max(5*time.Millisecond, time.Duration(len(bs.cfg.Seeds))*seedEach)
	for round := 0; bs.pending(); round++ {
		err := bs.trySeeds(round)
		if err == nil {
			return
		}
		if time.Since(warned) > seedWarn {
			bs.log.Warn("no seed lets this node in yet", "error", err)
			warned = time.Now()
		}
		if wait(bs.ctx, pause) != nil {
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
// every few rounds a few of the others in turn; with nameless seeds, all of them.
func (bs *bootstrap) trySeeds(round int) error {
	ctx, cancel := bs.bounded(bs.ctx, joinTime)
	defer cancel()
	seeds, err := bs.resolve(ctx)
	if bs.dns.addrs != nil {
		return bs.joinOrFound(ctx, seeds, err)
	}
	tries := seeds
	if len(seeds) > 0 {
		tries = seeds[:1:1]
		if rest := seeds[1:]; len(rest) > 0 && round%seedTurn == seedTurn-1 {
			for i := range min(len(rest), seedTries) {
				tries = append(tries, rest[(round/seedTurn*seedTries+i)%len(rest)])
			}
		}
	}
	return bs.tryEach(tries, err)
}

// tryEach asks the seeds for admission until one lets this node in; err is what went wrong before.
func (bs *bootstrap) tryEach(seeds []Target, err error) error {
	errs := []error{err}
	for _, t := range seeds {
		if t.Name == bs.cfg.Name {
			continue
		}
		err := bs.trySeed(t)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// found makes this node the first of the cluster.
func (bs *bootstrap) found(ctx context.Context) error {
	release, err := bs.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if !bs.pending() {
		return nil // joined by hand meanwhile
	}
	bs.log.Info("found a cluster: no node at the seeds is in one, and this one has the lowest address of those that answer")
	return bs.formNew(ctx)
}

func (bs *bootstrap) trySeed(t Target) error {
	ctx, cancel := bs.bounded(bs.ctx, joinTime)
	defer cancel()
	release, err := bs.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if !bs.pending() {
		return nil // joined by hand meanwhile
	}
	l, err := bs.talk(ctx, t.Name, t.Addr)
	if err != nil {
		return err
	}
	defer l.done()
	a, id, err := bs.requestAdmission(l, t)
	if err != nil {
		return err
	}
	if err := bs.switchCluster(ctx, a, id, false); err != nil {
		return err
	}
	bs.log.Info("joined cluster", "cluster", a.Cluster, "by", a.From.Name)
	bs.arrived(Arrival{Joined: true, Holders: a.Holders})
	if err := bs.announce(l, a); err != nil {
		bs.log.Warn("meet the seed", "seed", a.From.Name, "error", err) // heal goes on from here
	}
	return nil
}
