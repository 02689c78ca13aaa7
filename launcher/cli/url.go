package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"onemore/launcher"
	"onemore/launcher/internal/nearest"
)

func urlCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "url NODE LISTENER", Short: "The URL of a listener, or its address where it has none", Args: takes(2, 2),
		Example: "  onemore url 1 http\n  curl \"$(onemore url 1 http)\"", ValidArgsFunction: c.completeListener,
		RunE: func(_ *cobra.Command, args []string) error {
			cl, err := c.open(0, nil)
			if err != nil {
				return err
			}
			nodes, err := cl.Find(args[0])
			if err != nil {
				return err
			}
			p, err := cl.Plan()
			if err != nil {
				return err
			}
			found := map[string]string{}
			for _, i := range nodes {
				n := p.Nodes[slices.IndexFunc(p.Nodes, func(n launcher.NodePlan) bool { return n.Index == i })]
				at := slices.IndexFunc(n.Listeners, func(l launcher.ListenerPlan) bool { return l.Name == args[1] })
				if at < 0 {
					return noListener(n, args[1])
				}
				found[strconv.Itoa(i)] = n.Listeners[at].URL
			}
			if c.json {
				return c.printJSON(found)
			}
			for _, i := range nodes {
				fmt.Fprintln(c.Stdout, found[strconv.Itoa(i)])
			}
			return nil
		}}
}

// noListener is the error of a listener that a node does not have.
func noListener(n launcher.NodePlan, name string) error {
	known := map[string]bool{}
	for _, l := range n.Listeners {
		known[l.Name] = true
	}
	names := slices.Sorted(maps.Keys(known))
	hint := nearest.Hint(name, names, strconv.Quote)
	if hint == "" {
		hint = "it has: " + strings.Join(names, ", ")
	}
	return &launcher.InputError{Err: fmt.Errorf("node %d has no listener %q", n.Index, name), Hint: hint}
}

// completeListener offers a node, then its listeners.
func (c *call) completeListener(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return c.completeNodes(cmd, nil, word)
	case 1:
		var out []string
		for _, n := range c.plannedNodes() {
			for _, l := range n.Listeners {
				if strconv.Itoa(n.Index) == args[0] {
					out = append(out, described(l.Name, l.URL))
				}
			}
		}
		return out, noFiles
	}
	return nil, noFiles
}
