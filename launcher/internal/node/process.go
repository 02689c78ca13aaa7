package node

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
)

// run is one process of a node, from its start to its end.
type run struct {
	proc    *proc.Process
	log     *logFile
	notify  *probe.Notify // nil unless the template uses it
	ready   bool          // READY=1 came
	members int           // the last X_ONEMORE_MEMBERS
	began   time.Time
	group   int           // its group id, 0 for the keeper's
	over    chan struct{} // closed when the process has ended and its output is on disk
	wg      sync.WaitGroup
}

// setsFaults announces to a node at its start that faults will be set on it once it is ready.
const setsFaults = "ONEMORE_FAULTS"

// startProcess starts the process of a stopped node and records it in the node's folder. The node is Starting afterwards; Launch
// makes it Running.
func (n *Node) startProcess(ctx context.Context, o LaunchOptions) error {
	if gone := n.Deleted("start"); gone != nil {
		return gone
	}
	p := n.Plan
	as, err := handOver(p)
	if err != nil {
		return err
	}
	start := logStartNow(p)
	n.update(func() { n.start, n.steps, n.member = start, []step{{"started", start.at}}, false })
	r := &run{over: make(chan struct{}), group: o.Group}
	log, err := openLog(p.Log)
	if err != nil {
		return err
	}
	env := n.host.environment(p.Index, as, slices.Concat(p.StartEnv, p.Env))
	command := p.Command
	if o.Founds && p.Bootstrap != nil {
		command, env = slices.Concat(command, p.Bootstrap.Args), append(env, p.Bootstrap.Env...)
	}
	if len(o.Faults) > 0 {
		env = append(env, setsFaults+"=1")
	}
	if p.Ready.Notify || p.Members.Notify {
		if r.notify, err = probe.ListenNotify(fmt.Sprintf("%s-%d", n.host.ID(), p.Index)); err != nil {
			log.Close()
			return err
		}
		env = append(env, "NOTIFY_SOCKET="+r.notify.Addr)
	}
	r.log = log
	out, err := log.pipe(&r.wg)
	if err == nil && as != nil {
		err = out.Chown(int(as.UID), -1) // it may open /dev/stderr
	}
	if err == nil {
		r.proc, err = n.host.spawner.Start(ctx, proc.Spec{Args: command, Dir: p.Workdir, Env: env, Stdout: out, Stderr: out, User: as, Group: r.group, Cgroup: n.host.Processes.currentCgroup()})
		out.Close()
	}
	if err != nil {
		r.close()
		return err
	}
	if err := WriteProcessID(filepath.Join(p.Folder, pidFile), r.proc.ID()); err != nil {
		_ = r.proc.SignalGroup(syscall.SIGKILL)
		<-r.proc.Done()
		r.close()
		return err
	}
	removeEnd(p)
	r.began = time.Now().UTC()
	n.update(func() { n.run, n.last, n.state, n.exit = r, r, control.Starting, "" })
	n.host.watchers.Go(func() { watch(n, r) })
	return nil
}

// WriteProcessID writes to path which process was started. It need not last through a power failure: the process doesn't.
func WriteProcessID(path string, id proc.ID) error {
	b, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return nodedir.WriteFile(filepath.Dir(path), filepath.Base(path), b, 0o600)
}

// watch follows one process from its start to its end: its notifications, and how it ended.
func watch(n *Node, r *run) {
	var msgs <-chan map[string]string
	if r.notify != nil {
		msgs = r.notify.C
	}
	for alive := true; alive; {
		select {
		case m, ok := <-msgs:
			if !ok {
				msgs = nil
			}
			n.update(func() { r.note(m) })
		case <-r.proc.Done():
			alive = false
		}
	}
	// What the next process of the node has under the same name is removed before anybody hears of the end of this one.
	_ = os.Remove(filepath.Join(n.Plan.Folder, pidFile))
	if r.notify != nil {
		_ = r.notify.Close()
	}
	if err := writeEnd(n.Plan); err != nil {
		n.host.log.Warn("record when it ended", "node", n.Plan.Name, "err", err)
	}
	end, asked := r.proc.Exit(), false
	n.update(func() {
		asked = n.state == control.Stopping
		n.run, n.clean = nil, end.Code == 0
		if asked {
			n.state = control.Stopped
		} else {
			n.state, n.exit = control.Exited, end.String()
		}
	})
	if !asked {
		n.host.record(eventOf(n, string(control.Exited), end.String()))
	}
	r.close()
	close(r.over)
}

// note takes one sd_notify message. A second message of the same kind replaces the first.
func (r *run) note(m map[string]string) {
	if m["READY"] == "1" {
		r.ready = true
	}
	if v, err := strconv.Atoi(m["X_ONEMORE_MEMBERS"]); err == nil {
		r.members = v
	}
}

func (r *run) close() {
	if r.notify != nil {
		_ = r.notify.Close()
	}
	r.wg.Wait()
	_ = r.log.Close()
}
