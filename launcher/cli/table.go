package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"onemore/launcher"
)

// printJSON writes a result in its documented form.
func (c *call) printJSON(v any) error {
	enc := json.NewEncoder(c.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// show prints a cluster: a line for each node with its ports, what is wrong, and with paste how to use the first node.
func (c *call) show(st *launcher.Status, paste bool) error {
	if c.json {
		return c.printJSON(st)
	}
	w := c.Stdout
	fmt.Fprintf(w, "cluster %s (%s): %s\n", st.Cluster, st.Template, summary(st))
	if len(st.Nodes) > 0 {
		fmt.Fprintln(w)
		if err := nodeTable(w, st, layoutOf(c)); err != nil {
			return err
		}
	}
	if len(st.Services) > 0 {
		fmt.Fprintln(w)
		if err := serviceTable(w, st.Services); err != nil {
			return err
		}
	}
	for _, n := range st.Nodes {
		if n.Exit != "" && n.State != "running" {
			fmt.Fprintf(w, "node %d ended: %s; see `onemore logs %d`\n", n.Index, n.Exit, n.Index)
		}
	}
	for _, n := range st.Nodes {
		if n.Trouble != "" {
			why, _, _ := strings.Cut(n.Trouble, "\n")
			fmt.Fprintf(w, "node %d runs, but does not serve: %s\n", n.Index, why)
		}
	}
	for _, f := range st.Audit {
		whose := fmt.Sprintf("node %d", f.Node)
		if f.Service != "" {
			whose = "service " + f.Service
		}
		fmt.Fprintf(w, "%s: %s: %s\n", map[bool]string{true: "error", false: "warning"}[f.Grave()], whose, f.Error())
	}
	for _, f := range st.Faults {
		fmt.Fprintf(w, "fault: %s\n", f)
	}
	for _, n := range notesOf(c, st) {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	if paste && len(st.Nodes) > 0 && len(st.Nodes[0].Client) > 0 {
		fmt.Fprintln(w, "\ntry:")
		for _, l := range st.Nodes[0].Client {
			fmt.Fprintf(w, "  %s\n", l)
		}
	}
	return nil
}

func summary(st *launcher.Status) string {
	running := 0
	for _, n := range st.Nodes {
		if n.State == "running" {
			running++
		}
	}
	s := fmt.Sprintf("%s, %d of %d nodes running", st.State, running, len(st.Nodes))
	if st.Busy != "" {
		s += ", busy with " + st.Busy
	}
	return s
}

func serviceTable(w io.Writer, services []launcher.ServiceStatus) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SERVICE\tSTATE\tPID\tLISTENERS")
	for _, s := range services {
		var at []string
		for _, name := range slices.Sorted(maps.Keys(s.Listeners)) {
			at = append(at, name+" "+shortAddr(s.Listeners[name], ""))
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", s.Name, s.State, numberOrDash(s.PID), strings.Join(at, ", "))
	}
	return tw.Flush()
}

func portNumber(addr string) int {
	n, _ := strconv.Atoi(addr[strings.LastIndex(addr, ":")+1:])
	return n
}

// shortAddr is the port of HOST:PORT where the host is 127.0.0.1 or part of the node's name, else HOST:PORT.
func shortAddr(addr, name string) string {
	i := strings.LastIndex(addr, ":")
	if i < 0 {
		return "-"
	}
	if host := addr[:i]; strings.HasSuffix(name, "@"+host) || host == "127.0.0.1" {
		return addr[i+1:]
	}
	return addr
}

// numberOrDash prints a number; one below 1 is unknown, and printed as a dash.
func numberOrDash(n int) string {
	if n < 1 {
		return "-"
	}
	return fmt.Sprint(n)
}

func clusterTable(c *call, list []*launcher.Status) error {
	tw := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "CLUSTER\tTEMPLATE\tSTATE\tNODES\tFOLDER")
	for _, st := range list {
		running := 0
		for _, n := range st.Nodes {
			if n.State == "running" {
				running++
			}
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d/%d\t%s\n", st.Cluster, st.Template, st.State, running, len(st.Nodes), st.Dir)
	}
	return tw.Flush()
}
