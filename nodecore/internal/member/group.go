package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"onemore/nodecore/internal/faults"
)

// Group is this node's membership of its cluster, and its way to another one
// (Join, Leave, ForceLeave). Everything is done by its parts; Group starts and
// stops them.
type Group struct {
	*transition
	spread *spreader
	once   sync.Once
	err    error // of Close
}

// Open reads who this node is, and decides which cluster it is in. Nothing
// goes over the network before Start.
func Open(cfg Config) (_ *Group, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, cfg.TCP.Close(), cfg.UDP.Close())
		}
	}()
	if err := CheckName(cfg.Name); err != nil {
		return nil, err
	}
	st, err := loadState(cfg.Dir, cfg.Name)
	if err != nil {
		return nil, err
	}
	founder := len(cfg.Seeds) == 0 || cfg.Seeds[0].Name == cfg.Name
	if st.Cluster == "" && founder {
		st.Cluster = newID()
	}
	return newGroup(cfg, st), nil
}

// Start enters the cluster; a node that has none yet (see View) asks the seeds
// for admission in the background. Call it once.
func (g *Group) Start() error {
	pending := g.st.Cluster == ""
	g.port.start()
	if pending {
		g.wg.Go((&bootstrap{transition: g.transition}).run)
	} else if err := g.enter(false); err != nil {
		return err
	}
	g.wg.Go(g.keepSaved)
	g.wg.Go((&healer{g.transition}).run)
	g.wg.Go((&watcher{g.membership}).run)
	g.wg.Go((&introducer{g.membership}).run)
	g.wg.Go(g.spread.run)
	return nil
}

func newGroup(cfg Config, st state) *Group {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Faults == nil {
		cfg.Faults = new(faults.Table)
	}
	if cfg.version == 0 {
		cfg.version = protocolVersion
	}
	ms := &membership{
		cfg: cfg, log: cfg.Logger, st: st, roster: newRoster(st.rosterData),
		changes: make(chan struct{}, 1), dirty: make(chan struct{}, 1),
		memberLost: make(chan struct{}, 1), neighbourChanged: make(chan struct{}, 1), toIntroduce: make(chan struct{}, 1), arrivals: make(chan Arrival, 1),
	}
	ms.st.rosterData = rosterData{}
	ms.ctx, ms.cancel = context.WithCancel(context.Background())
	sp := &spreader{membership: ms, requests: make(chan *syncRequest), joining: make(chan struct{}, 1)}
	ms.port = newPort(cfg, (&server{ms, sp}).serve, ms.nameAt)
	return &Group{transition: &transition{membership: ms, op: make(chan struct{}, 1)}, spread: sp}
}

// Changes delivers a token after every change of the View; many changes may
// share one. There is one channel: it has one reader.
func (g *Group) Changes() <-chan struct{} { return g.changes }

// Arrivals delivers how this node came into its cluster: once after Start, as soon
// as it is in its cluster and has met a running member (if there is one), and
// after every change of clusters. There is one channel: it has one reader.
func (g *Group) Arrivals() <-chan Arrival { return g.arrivals }

// Garbage counts packets and streams on the cluster port that were neither
// this cluster's gossip nor a control stream.
func (g *Group) Garbage() uint64 { return g.port.garbage.Load() }

// Traffic is what went over the cluster port so far.
type Traffic struct {
	PacketsSent, PacketsReceived   uint64
	StreamsDialed, StreamsAccepted uint64
}

// Traffic counts since Open.
func (g *Group) Traffic() Traffic {
	t := &g.port.traffic
	return Traffic{t.sent.Load(), t.received.Load(), t.dialed.Load(), t.accepted.Load()}
}

// Close stops the node's part in the cluster: it stays a member, as one that
// is stopped. It may be called twice.
func (g *Group) Close() error {
	g.once.Do(func() {
		g.cancel()
		g.op <- struct{}{} // waits for a change of clusters to end, and lets no other begin
		gs, _ := g.current()
		var errs []error
		if gs != nil {
			errs = append(errs, gs.close(true))
		}
		errs = append(errs, g.port.close())
		g.wg.Wait()
		errs = append(errs, g.save(false))
		if err := errors.Join(errs...); err != nil {
			g.err = fmt.Errorf("close membership: %w", err)
		}
	})
	return g.err
}
