package main

import (
	"context"
	"slices"
)

// parted answers a greeting over a network that has come back, as long as neither end has been restarted for it.
func (c *cluster) parted() reply {
	return reply{Error: reasonParted, Members: append(c.runningPeers(), c.self)}
}

// heal restarts this node's applications when it is on the smaller side of a cut that is over: the other side then takes it
// in again, and its tables are the other side's. Of two sides alike the one with the first name stays.
func (c changer) heal(ctx context.Context, other []nodeName) {
	c.mu.Lock()
	own := append(c.runningPeers(), c.self)
	slices.Sort(own)
	slices.Sort(other)
	smaller := len(own) < len(other) || len(own) == len(other) && slices.Compare(own, other) > 0
	if !c.autoheal || !smaller || c.healing || c.joining || c.frozen {
		c.mu.Unlock()
		return
	}
	c.healing = true
	c.mu.Unlock()
	c.log.printf("critical", "Ekka(Autoheal): reboot after a partition: %v here, %v there", own, other)
	c.apps.stop()
	if c.pace.wait(ctx, healTime) != nil {
		return
	}
	c.mu.Lock()
	c.links.hangUpAll()
	c.links = newLinks()
	c.healing, c.healed, c.fresh = false, true, true
	c.touch()
	c.mu.Unlock()
	c.greet(ctx)
	c.apps.start(ctx)
}
