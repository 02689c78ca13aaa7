package member

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"strconv"
	"sync"

	"github.com/hashicorp/memberlist"
)

// Joins are told in batches: a node that was admitted waits for the answer to its
// opReady, which names all running members to all nodes that came with it, and
// members that were there before are sent the new ones. The gossip gets to know
// them later (introducer).

// learn takes members for running that another one has named.
func (g *gossip) learn(list []Member) {
	news := false
	for _, m := range list {
		if m.ID == g.self.ID || g.roster.isRemoved(m.ID) || g.roster.hasEnded(m.ID, m.Boot) {
			continue
		}
		news = g.roster.put(m) || news
		g.mu.Lock()
		news = g.aliveLocked(m) || news
		g.mu.Unlock()
	}
	if news {
		g.changed()
	}
}

// unmet is the running members that the gossip doesn't know.
func (g *gossip) unmet() (list []Member) {
	for _, m := range g.roster.list() {
		if m.ID == g.self.ID || !g.running(m.ID) {
			continue
		}
		g.mu.Lock()
		met, ok := g.met[m.ID]
		if !ok || met < g.alive[m.ID] {
			list = append(list, m)
		}
		g.mu.Unlock()
	}
	return list
}

// forget takes back that a member is running, unless the gossip knows it now.
func (g *gossip) forget(m Member) {
	g.mu.Lock()
	met, ok := g.met[m.ID]
	lost := g.alive[m.ID] == m.Boot && (!ok || met < m.Boot)
	if lost {
		delete(g.alive, m.ID)
	}
	g.mu.Unlock()
	if lost {
		g.changed()
	}
}

// sendNew names the new members to those that were there before.
func (g *gossip) sendNew(ctx context.Context, batch []Member) {
	isNew := make(map[string]bool, len(batch))
	for _, m := range batch {
		isNew[m.ID] = true
	}
	text, err := json.Marshal(batch)
	if err != nil {
		g.log.Error("encode new members", "error", err)
		return
	}
	msg := append(bytes.Clone(newMark), text...)
	slots := make(chan struct{}, pushPullWorkers)
	var wg sync.WaitGroup
	for _, m := range g.liveMembers() {
		if isNew[m.ID] || ctx.Err() != nil {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := g.send(m, msg); err != nil {
				g.log.Debug("send new members", "to", m.Name, "error", err) // it hears of them by gossip
			}
		})
	}
	wg.Wait()
}

// send brings a message to a member by a stream.
func (g *gossip) send(m Member, msg []byte) error {
	host, port, err := net.SplitHostPort(m.Addr)
	if err != nil {
		return err
	}
	num, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	return g.list.SendReliable(&memberlist.Node{Name: gossipName(m), Addr: net.ParseIP(host), Port: uint16(num)}, msg)
}
