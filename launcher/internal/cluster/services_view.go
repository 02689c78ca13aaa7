package cluster

import (
	"context"
	"fmt"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
)

// observeServices fills in what is true of the services at this moment. A cluster without one of them is degraded.
func (c *Cluster) observeServices(ctx context.Context, st *control.Status, p *plan.Plan) {
	for i, one := range c.Services.all() {
		if i >= len(st.Services) {
			return
		}
		var seen control.NodeStatus
		one.n.Observe(ctx, &seen, false)
		s := &st.Services[i]
		s.State, s.PID, s.Exit, s.Since, s.RSSBytes, s.CPUPercent = seen.State, seen.PID, seen.Exit, seen.Since, seen.RSSBytes, seen.CPUPercent
		if s.State == control.Running || st.State == control.Stopped && s.State == control.Stopped {
			continue
		}
		if s.State == control.Exited {
			st.Notes = append(st.Notes, serviceNote(s, p.Services[i].Restart))
		}
		if st.State == control.Running {
			st.State = control.Degraded
		}
	}
}

// serviceNote says that a service has ended, and what follows.
func serviceNote(s *control.ServiceStatus, restart string) string {
	called := ""
	if s.Name != "service" {
		called = " " + s.Name
	}
	again := "`onemore start` starts it again"
	if restart == "always" || restart == "on-failure" && s.Exit != "exit code 0" {
		again = "it is about to be started again"
	}
	return fmt.Sprintf("the cluster's service%s has ended (%s); %s, its log is %s", called, s.Exit, again, s.Log)
}

// StopIdleServices stops the services when no node runs that they could help, and with them whatever is left of the cluster: nothing
// of it runs then.
func (c *Cluster) StopIdleServices(ctx context.Context) error {
	for _, n := range c.All() {
		if n.HasProcess() {
			return nil
		}
	}
	c.Services.Stop(ctx, false)
	return c.Host.Processes.KillAll()
}
