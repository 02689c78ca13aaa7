package main

import (
	"context"
	"slices"
)

// heal is for a peer that was cut off and can be reached again. After some time, in which both ends learn who else is there, it
// restarts this node's applications if it is on the smaller side: the other side then takes it in again, and its tables are
// the other side's. Of two sides alike the one with the first name stays.
func (c changer) heal(ctx context.Context, peer nodeName) {
	if !c.beginHeal() {
		return
	}
	smaller := c.pace.wait(ctx, healTime/2) == nil && c.smaller(ctx, peer)
	c.mu.Lock()
	c.weighing, c.healing = false, smaller && !c.joining && !c.frozen
	restart := c.healing
	c.mu.Unlock()
	if !restart {
		return
	}
	c.log.printf("critical", "Ekka(Autoheal): reboot after a partition: '%s' is on the greater side", peer)
	c.apps.stop()
	_ = c.pace.wait(ctx, healTime/2) // what stops the node ends what follows, too
	c.mu.Lock()
	c.links.hangUpAll()
	c.links = newLinks()
	c.healing, c.healed, c.fresh = false, true, true
	c.touch()
	c.mu.Unlock()
	c.greet(ctx)
	c.apps.start(ctx)
}

func (c changer) beginHeal() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.autoheal || c.weighing || c.healing || c.frozen {
		return false
	}
	c.weighing = true
	return true
}

// smaller compares the two sides, each as the node there sees it now.
func (c changer) smaller(ctx context.Context, peer nodeName) bool {
	answer, err := ask(ctx, c.cookie, request{Op: opSurvey, From: c.self, To: peer})
	if err != nil || answer.Error != "" {
		return false
	}
	own, _ := c.view()
	if slices.Contains(own, peer) {
		return false // the other side has been restarted
	}
	slices.Sort(answer.Members)
	return len(own) < len(answer.Members) || len(own) == len(answer.Members) && slices.Compare(own, answer.Members) > 0
}
