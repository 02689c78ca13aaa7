package launchertest

import "onemore/launcher"

// Partition cuts the network between groups of nodes, by their numbers, until Heal: Partition([]int{1, 2}, []int{3}).
// Clients reach all nodes all the same.
func (c *Cluster) Partition(groups ...[]int) {
	c.t.Helper()
	c.Fault(launcher.Partition(groups...))
}

// Fault breaks the network between nodes until Heal: launcher.OneWay, Delay, Drop and Partition make faults.
func (c *Cluster) Fault(f launcher.Fault) {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	_, err := c.c.AddFault(ctx, f)
	c.must(err)
}

// Heal ends all faults and returns when the cluster has settled.
func (c *Cluster) Heal() {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	_, err := c.c.Heal(ctx)
	c.must(err)
}
