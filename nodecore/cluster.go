package nodecore

import (
	"context"
	"fmt"

	"onemore/nodecore/internal/member"
)

// Status is what a node knows about itself and its cluster. Its JSON form is
// stable: fields may be added.
type Status struct {
	Trouble      string            `json:"trouble,omitempty"` // why it can't keep what it promises
	Name         string            `json:"name"`
	ID           string            `json:"id"`
	Cluster      string            `json:"cluster"` // empty while the node waits for its first cluster
	Members      int               `json:"members"` // running ones, this node included
	RunningNodes []string          `json:"running_nodes"`
	StoppedNodes []string          `json:"stopped_nodes"`
	Listeners    map[string]string `json:"listeners"` // name → ip:port of those that are on
}

// Status returns the state of now.
func (n *Node) Status() Status {
	v := n.group.View()
	s := Status{
		Name: v.Self.Name, ID: v.Self.ID, Cluster: v.Cluster, Members: len(v.Running),
		Trouble: n.broker.StoreTrouble(), RunningNodes: names(v.Running), StoppedNodes: names(v.Stopped), Listeners: make(map[string]string),
	}
	for name := range n.sockets.addrs {
		s.Listeners[name] = n.Addr(name)
	}
	return s
}

func names(list []member.Member) []string {
	names := make([]string, 0, len(list))
	for _, m := range list {
		names = append(names, m.Name)
	}
	return names
}

// Join makes this node a member of the cluster of target, NAME@HOST[:PORT]
// with the port of its cluster listener. The node's own data is dropped, and a
// cluster that it is in is left first. It returns when all running members
// list this node and it has the cluster's data.
func (n *Node) Join(ctx context.Context, target string) error {
	t, err := member.ParseTarget(target)
	if err != nil {
		return err
	}
	if err := n.group.Join(ctx, t); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, syncTime)
	defer cancel()
	if err := n.data.await(ctx, n.group.View().Cluster); err != nil {
		return fmt.Errorf("joined, but the cluster's data is not here yet: %w", err)
	}
	return nil
}

// Leave takes this node out of its cluster; it goes on as the only member of a
// new one, without data.
func (n *Node) Leave(ctx context.Context) error {
	if err := n.group.Leave(ctx); err != nil {
		return err
	}
	return n.data.await(ctx, n.group.View().Cluster)
}

// ForceLeave removes another member, NAME@HOST, running or not, for good.
func (n *Node) ForceLeave(ctx context.Context, name string) error {
	if err := member.CheckName(name); err != nil {
		return err
	}
	return n.group.ForceLeave(ctx, name)
}
