package cluster

import (
	"fmt"

	"onemore/launcher/internal/node"
)

// Stays observes which sockets serve the listeners of the nodes that run, so that Stayed can tell later whether one was away.
func Stays(c *Cluster) []node.Stay {
	table, err := c.Host.SocketsNow()
	if err != nil {
		return nil
	}
	var out []node.Stay
	for _, n := range c.All() {
		if s, ok := node.ObserveStay(n, table); ok {
			out = append(out, s)
		}
	}
	return out
}

// Stayed returns an error for the first node that has closed a listener since, while its process went on: it has left its cluster and come
// back, without what only it had. Who looks at the number of members sees nothing of that.
func Stayed(c *Cluster, since []node.Stay) error {
	for _, s := range since {
		l := reopened(c, s)
		if l == "" || reopened(c, s) == "" { // one observation of many sockets may lack some
			continue
		}
		return s.Node().Failed("stay a member",
			fmt.Errorf("it has closed its listener %q meanwhile, or opened it anew: it was away from the cluster, and may have lost what it had", l))
	}
	return nil
}

func reopened(c *Cluster, s node.Stay) string {
	table, err := c.Host.SocketsNow()
	if err != nil {
		return ""
	}
	return s.Reopened(table)
}
