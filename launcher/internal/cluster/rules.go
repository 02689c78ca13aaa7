package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// noRules removes a cluster's table, also where there is none.
func noRules(id string) string {
	return fmt.Sprintf("add table inet %[1]s; delete table inet %[1]s\n", tableOf(id))
}

func tableOf(id string) string { return "onemore_" + id }

// rules is the whole of the cluster's table for links, in the packet filter's language.
func rules(id string, nodes []*node.Node, links []plan.Link) string {
	ports := map[int]string{}
	for _, n := range nodes {
		ports[n.Plan.Index] = portSet(n.Plan.Listeners)
	}
	var label, cut strings.Builder
	seen := map[[2]int]bool{}
	for _, l := range links {
		for _, pair := range [][2]int{{l.From, l.To}, {l.To, l.From}} {
			if opener, other := pair[0], pair[1]; !seen[pair] {
				seen[pair] = true
				fmt.Fprintf(&label, "\t\tmeta skgid %d meta l4proto { tcp, udp } th dport %s ct mark set %#x\n",
					groupBase+opener, ports[other], labelOf(opener, other))
			}
		}
		what := "drop"
		if share := max(1, int(l.Drop*10000+0.5)); !l.Block && share < 10000 {
			what = fmt.Sprintf("numgen random mod 10000 < %d drop", share)
		}
		fmt.Fprintf(&cut, "\t\tct mark %#x th dport %s %s\n", labelOf(l.From, l.To), ports[l.To], what)
		fmt.Fprintf(&cut, "\t\tct mark %#x th sport %s %s\n", labelOf(l.To, l.From), ports[l.From], what)
	}
	return fmt.Sprintf("%stable inet %s {\n"+
		"\tchain label {\n\t\ttype filter hook output priority 0; policy accept;\n\t\toifname != \"lo\" accept\n%s\t}\n"+
		"\tchain cut {\n\t\ttype filter hook input priority 0; policy accept;\n\t\tiifname != \"lo\" accept\n%s\t}\n}\n",
		noRules(id), tableOf(id), label.String(), cut.String())
}

func labelOf(opener, other int) int { return labelBase + opener*labelStep + other }

// portSet is a node's ports as nftables writes a set.
func portSet(ls []plan.Listener) string {
	var words []string
	for _, l := range ls {
		if s := strconv.Itoa(l.Port); !slices.Contains(words, s) {
			words = append(words, s)
		}
	}
	return "{ " + strings.Join(words, ", ") + " }"
}
