package launcher

import (
	"fmt"
	"iter"
	"net"
	"slices"
	"strconv"
	"strings"

	"onemore/launcher/internal/state"
)

// Variable is one line of a cluster's environment.
type Variable struct{ Name, Value string }

// Environment returns every address of a cluster as variables, in a fixed order: ONEMORE_CLUSTER, ONEMORE_TEMPLATE,
// ONEMORE_NODES (a number), ONEMORE_<LISTENER> (the addresses of all nodes, comma separated; a listener called "cluster",
// "nodes", "template" or "home" is ONEMORE_<LISTENER>_LISTENER there), likewise the address of each shared listener, and for every node
// ONEMORE_<N>_NAME, ONEMORE_<N>_DIR, where nodes have roles ONEMORE_<N>_ROLE, and ONEMORE_<N>_<LISTENER>. A listener for which the template
// has a URL is also ONEMORE_<LISTENER>_URL and ONEMORE_<N>_<LISTENER>_URL. What the template says that clients need besides (client.environment) is ONEMORE_<NAME>, for the
// first node, and ONEMORE_<N>_<NAME>. Listener names are in upper case; an address is HOST:PORT.
func Environment(p *Plan) []Variable {
	out := []Variable{{"ONEMORE_CLUSTER", p.Cluster}, {"ONEMORE_TEMPLATE", p.Template}, {"ONEMORE_NODES", strconv.Itoa(len(p.Nodes))}}
	all := map[string][]string{}
	var order []string
	var nodes []Variable
	for _, n := range p.Nodes {
		prefix := fmt.Sprintf("ONEMORE_%d_", n.Index)
		nodes = append(nodes, Variable{prefix + "NAME", n.Name}, Variable{prefix + "DIR", n.Dir})
		if n.Role != "" {
			nodes = append(nodes, Variable{prefix + "ROLE", n.Role})
		}
		for _, l := range n.Listeners {
			addr := net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
			name := strings.ToUpper(l.Name)
			for suffix, value := range addressForms(addr, l.URL) {
				nodes = append(nodes, Variable{prefix + name + suffix, value})
				if !slices.Contains(order, name+suffix) {
					order = append(order, name+suffix)
				}
				all[name+suffix] = append(all[name+suffix], value)
			}
		}
		for i, kv := range n.ClientEnv {
			name, value, _ := strings.Cut(kv, "=")
			nodes = append(nodes, Variable{prefix + name, value})
			if p.Nodes[0].Index == n.Index {
				out = slices.Insert(out, 3+i, Variable{"ONEMORE_" + name, value})
			}
		}
	}
	for _, l := range p.Shared {
		name := strings.ToUpper(l.Name)
		order = append(order, name)
		all[name] = []string{net.JoinHostPort(l.Host, strconv.Itoa(l.Port))}
	}
	for _, name := range order {
		variable := "ONEMORE_" + name
		if slices.Contains(reserved, variable) {
			variable += "_LISTENER"
		}
		out = append(out, Variable{variable, strings.Join(all[name], ",")})
	}
	return append(out, nodes...)
}

// addressForms yields an address and, where the template has one, its URL, with what ends the variable's name.
func addressForms(addr, url string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if yield("", addr) && strings.Contains(url, "://") {
			yield("_URL", url)
		}
	}
}

// WriteFile replaces a file by data, mode 0600; a reader sees the old content or the new, never a part.
func WriteFile(path string, data []byte) error { return state.WriteFile(path, data) }

// reserved are variables that no listener can have.
var reserved = []string{"ONEMORE_CLUSTER", "ONEMORE_NODES", "ONEMORE_TEMPLATE", "ONEMORE_HOME", "ONEMORE_STACK"}
