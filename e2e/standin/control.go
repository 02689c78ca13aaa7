package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Requests from bin/emqx and bin/emqx_ctl to the node that they act on.
const (
	opPing = "ping"
	opStop = "stop"
	opCtl  = "ctl"
)

// busyTime bounds how long a join by command waits for a node that is in the middle of something.
const busyTime = 2 * time.Second

const pageWidth = 80 // where Erlang's ~p wraps

// controls answers the release's own scripts.
type controls struct {
	settings
	cluster *cluster
	booted  func() bool
	stop    func() // begins an orderly stop
}

func (k controls) serve(ctx context.Context, r request) reply {
	answer := reply{Pid: os.Getpid(), Booted: k.booted(), Waiting: k.cluster.waiting()}
	switch r.Op {
	case opStop:
		k.stop()
	case opCtl:
		answer.Text = k.command(ctx, r.Args)
	}
	return answer
}

// command runs one `emqx_ctl` command. Failures are told in the text only: the exit code stays 0.
func (k controls) command(ctx context.Context, args []string) string {
	switch line := strings.Join(args, " "); {
	case line == "status":
		return fmt.Sprintf("Node '%s' %s is started\n", k.name, k.version)
	case line == "cluster status":
		return k.status()
	case line == "cluster status --json" && k.is5():
		return k.statusJSON()
	case line == "cluster leave":
		return k.outcome(changer{k.cluster}.leave(ctx), "Leave the cluster successfully.\n", "leave the cluster", "")
	case len(args) == 3 && args[0] == "cluster" && args[1] == "join":
		node := nodeName(args[2])
		return k.outcome(k.join(ctx, node), "Join the cluster successfully.\n", "join the cluster", node)
	case len(args) == 3 && args[0] == "cluster" && args[1] == "force-leave":
		node := nodeName(args[2])
		err := changer{k.cluster}.forceLeave(ctx, node)
		return k.outcome(err, "Remove the node from cluster successfully.\n", "remove the node from cluster", node)
	}
	return k.usage()
}

func (k controls) usage() string {
	lines := [][2]string{
		{"status", "Show broker status"},
		{"cluster join <Node>", "Join the cluster"},
		{"cluster leave", "Leave the cluster"},
		{"cluster force-leave <Node>", "Force the node leave from cluster"},
		{"cluster status", "Cluster status"},
	}
	if k.is5() {
		lines[4][0] += " [--json]"
	}
	var text strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&text, "%-48s# %s\n", line[0], line[1])
	}
	return text.String()
}

func (k controls) join(ctx context.Context, target nodeName) error {
	k.cluster.mu.Lock()
	k.cluster.manual = true
	k.cluster.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, busyTime)
	defer cancel()
	var err error
	until(ctx, func() bool {
		err = changer{k.cluster}.join(ctx, target)
		return !errors.Is(err, errBusy)
	})
	return err
}

func (k controls) outcome(err error, done, verb string, node nodeName) string {
	switch {
	case err == nil:
		return done + k.status()
	case errors.Is(err, errIgnored):
		return "Ignore.\n"
	case errors.Is(err, errAlreadyInCluster):
		return fmt.Sprintf("Failed to %s: {already_in_cluster,'%s'}\n", verb, node)
	case errors.Is(err, errNotInCluster) && node != "":
		return fmt.Sprintf("Failed to %s: {node_not_in_cluster,'%s'}\n", verb, node)
	case errors.Is(err, errNotInCluster):
		return fmt.Sprintf("Failed to %s: node_not_in_cluster\n", verb)
	}
	return fmt.Sprintf("Failed to %s: {node_down,'%s'}\n", verb, node)
}

func (k controls) status() string {
	running, stopped := k.cluster.view()
	const head = "Cluster status: #{"
	indent := strings.Repeat(" ", len(head))
	return head + pair("running_nodes", running, len(head)) + ",\n" + indent + pair("stopped_nodes", stopped, len(head)) + "}\n"
}

// pair is `key => ['a','b']` as Erlang prints it: what does not fit goes on in the next line, further in.
func pair(key string, nodes []nodeName, column int) string {
	quoted := make([]string, len(nodes))
	for i, node := range nodes {
		quoted[i] = "'" + string(node) + "'"
	}
	flat := "[" + strings.Join(quoted, ",") + "]"
	if column+len(key)+len(" => ")+len(flat) < pageWidth {
		return key + " => " + flat
	}
	const further = 4
	text := key + " =>\n" + strings.Repeat(" ", column+further) + "["
	at := column + further + 1
	for i, item := range quoted {
		if i > 0 {
			text += ","
			if at++; at+len(item) >= pageWidth {
				at = column + further + 1
				text += "\n" + strings.Repeat(" ", at)
			}
		}
		text += item
		at += len(item)
	}
	return text + "]"
}

func (k controls) statusJSON() string {
	running, stopped := k.cluster.view()
	if stopped == nil {
		stopped = []nodeName{}
	}
	text, err := json.Marshal(struct {
		Running []nodeName `json:"running_nodes"`
		Stopped []nodeName `json:"stopped_nodes"`
	}{running, stopped})
	if err != nil {
		return err.Error() + "\n"
	}
	return string(text) + "\n"
}
