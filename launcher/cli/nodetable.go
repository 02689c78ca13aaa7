package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"onemore/launcher"
)

// layout is how a table of nodes is printed.
type layout struct {
	columns int  // of the terminal; 0: as wide as it gets
	usage   bool // with uptime, memory and CPU
	colours bool
}

// layoutOf fits a table into the terminal, if stdout is one and -o wide is not given.
func layoutOf(c *call) layout {
	f, ok := c.App.Stdout.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return layout{usage: c.wide}
	}
	l := layout{usage: true, colours: !c.plain && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && !c.wide && columns >= 20 {
		l.columns = columns
	}
	return l
}

// notesOf are the notes of a cluster, which only the commands tell that are about the whole of it.
func notesOf(c *call, st *launcher.Status) []string {
	if !c.notes {
		return nil
	}
	return st.Notes
}

// column is one of a table. Where there is no room for all, those of the highest rank are left out first; those of rank 0 stay.
type column struct {
	title string
	rank  int
	cell  func(n *launcher.NodeStatus) string
}

const mainListeners = 3 // stay longer than what a node uses

// nodeColumns are the columns of a cluster's table.
func nodeColumns(st *launcher.Status, l layout) []column {
	out := []column{
		{"NODE", 0, func(n *launcher.NodeStatus) string { return fmt.Sprint(n.Index) }},
		{"NAME", 0, func(n *launcher.NodeStatus) string { return n.Name }},
		{"STATE", 0, func(n *launcher.NodeStatus) string { return string(n.State) }},
		{"PID", 20, func(n *launcher.NodeStatus) string { return numberOrDash(n.PID) }},
		{"MEMBERS", 0, func(n *launcher.NodeStatus) string { return numberOrDash(n.Members) }},
	}
	if l.usage {
		out = append(out, column{"UPTIME", 30, uptime},
			column{"MEMORY", 31, func(n *launcher.NodeStatus) string { return orDash(n.PID > 0, formatBytes(int64(n.RSSBytes))) }},
			column{"CPU", 32, func(n *launcher.NodeStatus) string { return orDash(n.PID > 0, fmt.Sprintf("%.0f%%", n.CPUPercent)) }})
	}
	first, urls, names, roles := map[string]string{}, map[string]string{}, []string{}, false // nodes of other roles have other listeners
	for _, n := range st.Nodes {
		roles = roles || n.Role != ""
		for name, addr := range n.Listeners {
			if first[name] == "" {
				first[name], urls[name], names = addr, n.URLs[name], append(names, name)
			}
		}
	}
	if roles {
		out = slices.Insert(out, 2, column{"ROLE", 0, func(n *launcher.NodeStatus) string { return cmp.Or(n.Role, "-") }})
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(portNumber(first[a])-portNumber(first[b]), cmp.Compare(a, b)) })
	public := 0
	for i, name := range names {
		rank := 100 + i // without a scheme, where others have one: it is for the nodes themselves
		if strings.Contains(urls[name], "://") || !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(urls[n], "://") }) {
			rank = 10 + public
			if public >= mainListeners {
				rank = 40 + public
			}
			public++
		}
		out = append(out, column{strings.ToUpper(name), rank, func(n *launcher.NodeStatus) string { return shortAddr(n.Listeners[name], n.Name) }})
	}
	return out
}

func orDash(known bool, text string) string {
	if known {
		return text
	}
	return "-"
}

// uptime is since when a node's process runs.
func uptime(n *launcher.NodeStatus) string {
	if n.Since == nil || n.PID == 0 {
		return "-"
	}
	switch d := time.Since(*n.Since); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
}

// nodeTable prints a line for each node. No line is longer than the terminal is wide, as far as columns can be left out.
func nodeTable(w io.Writer, st *launcher.Status, l layout) error {
	columns := nodeColumns(st, l)
	var left []string
	for l.columns > 0 && tableWidth(columns, st) > l.columns {
		i := 0
		for j, c := range columns {
			if c.rank > columns[i].rank {
				i = j
			}
		}
		if columns[i].rank == 0 {
			break
		}
		left = append(left, strings.ToLower(columns[i].title))
		columns = slices.Delete(columns, i, i+1)
	}
	var b strings.Builder
	for row := -1; row < len(st.Nodes); row++ {
		for i, c := range columns {
			text := c.title
			if row >= 0 {
				text = c.cell(&st.Nodes[row])
			}
			pad := strings.Repeat(" ", columnWidth(c, st)+2-width(text))
			if i == len(columns)-1 {
				pad = ""
			}
			if row >= 0 && c.title == "STATE" && l.colours {
				text = stateColour(st.Nodes[row].State) + text + "\x1b[0m"
			}
			b.WriteString(text + pad)
		}
		b.WriteString("\n")
	}
	if len(left) > 0 {
		b.WriteString(truncate("left out: "+strings.Join(left, ", ")+" (`onemore status -o wide`)", l.columns) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func stateColour(s launcher.State) string {
	switch s {
	case "running":
		return "\x1b[32m"
	case "exited", "lost":
		return "\x1b[31m"
	}
	return "\x1b[33m"
}

func columnWidth(c column, st *launcher.Status) int {
	w := width(c.title)
	for i := range st.Nodes {
		w = max(w, width(c.cell(&st.Nodes[i])))
	}
	return w
}

func tableWidth(columns []column, st *launcher.Status) int {
	w := -2
	for _, c := range columns {
		w += columnWidth(c, st) + 2
	}
	return w
}
