package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/probe"
)

// CheckOptions say which template is checked, with what.
type CheckOptions struct {
	Options            // Template, Source, Bin, Params, Env, Join and Timeout (of one operation) count
	Lint    bool       // only read it and plan with it; start nothing
	Step    func(Step) // may be nil; called as each step ends
}

// Step is the outcome of one thing that a template must be able to do.
type Step struct {
	Name    string   `json:"name"`
	OK      bool     `json:"ok"`
	Why     string   `json:"why,omitempty"`  // it failed, or a warning
	Hint    string   `json:"hint,omitempty"` // the way out
	Logs    string   `json:"logs,omitempty"` // folder
	Log     []string `json:"log,omitempty"`  // the lines of it that show why
	Seconds float64  `json:"seconds"`
}

// CheckTemplate takes clusters of a template through their whole life, as far as that is the same for all servers:
// docs/templates.md lists the steps. It stops at the first step that fails; nothing is left behind either way. The error is
// nil when all steps were taken and are OK, and an *InputError when there is no such template.
func CheckTemplate(ctx context.Context, o CheckOptions) ([]Step, error) {
	if _, err := TemplateText(o.Template); err != nil {
		return nil, err
	}
	o.Base, o.Progress = "auto", nil
	c := &checker{o: o, main: &checkedCluster{count: 3}, other: &checkedCluster{count: 2}}
	c.step("read it and plan three nodes", func() error { return c.lint(ctx) })
	if !o.Lint && !c.failed() {
		c.life(ctx)
	}
	if c.failed() || ctx.Err() != nil {
		return c.steps, errors.Join(errors.New("the template does not pass"), context.Cause(ctx))
	}
	return c.steps, nil
}

// checker runs the steps of a check on two clusters of the template.
type checker struct {
	o     CheckOptions
	steps []Step
	main  *checkedCluster // the one that is changed
	other *checkedCluster // runs beside it and must not notice
}

// checkedCluster is one of the two clusters.
type checkedCluster struct {
	count   int      // nodes at first
	fixed   bool     // it keeps them
	c       *Cluster // nil: not up
	release func()
}

func (c *checker) failed() bool {
	return slices.ContainsFunc(c.steps, func(s Step) bool { return !s.OK })
}

// step takes one step, unless one before it failed.
func (c *checker) step(name string, do func() error) {
	if !c.failed() {
		c.always(name, do)
	}
}

// always takes one step even if one before it failed.
func (c *checker) always(name string, do func() error) {
	began := time.Now()
	err := do()
	s := Step{Name: name, OK: err == nil, Seconds: time.Since(began).Seconds()}
	var in *InputError
	var fail *Failure
	switch {
	case errors.As(err, &fail):
		s.Why, s.Hint, s.Log, s.Logs = fail.Error(), fail.Hint, fail.Log, fail.Logs
	case errors.As(err, &in):
		s.Why, s.Hint = in.Error(), in.Hint
	case err != nil:
		s.Why = err.Error()
	}
	c.steps = append(c.steps, s)
	if c.o.Step != nil {
		c.o.Step(s)
	}
}

// lint plans both clusters.
func (c *checker) lint(ctx context.Context) error {
	o := c.o.Options
	o.Cluster, o.Count = UniqueName("check"), c.main.count
	p, err := DryRun(ctx, o)
	if err != nil {
		return err
	}
	c.main.fixed = p.Fixed
	// The other cluster is as large as the first if the template takes no smaller one.
	o.Count = c.other.count
	if _, err := DryRun(ctx, o); err != nil {
		c.other.count = c.main.count
	}
	return nil
}

// life takes both clusters through all steps that need running nodes.
func (c *checker) life(ctx context.Context) {
	a, b := c.main, c.other
	defer a.end()
	defer b.end()
	c.step(fmt.Sprintf("up %d, and up %d of another cluster at the same time", a.count, b.count), func() error { return c.up(ctx) })
	c.step("every node listens where it should, and nowhere else, and writes in its folder only", func() error { return errors.Join(a.audit(ctx), b.audit(ctx)) })
	have := []int{1, 2, 3} // later
	if !a.fixed {
		c.members(ctx, a)
		have = []int{1, 3, 4}
	}
	last := have[len(have)-1]
	c.step(fmt.Sprintf("stop node %d and start it", have[1]), func() error {
		if _, err := a.c.Stop(ctx, have[1]); err != nil {
			return err
		}
		st, err := a.c.Start(ctx, have[1])
		return errors.Join(err, full(st, have...))
	})
	c.step(fmt.Sprintf("kill node %d: degraded", last), func() error {
		st, err := a.c.Kill(ctx, last)
		if err == nil && st.State != control.Degraded {
			err = fmt.Errorf("the cluster is %s", st.State)
		}
		return err
	})
	c.step("start it again: settled", func() error {
		st, err := a.c.Start(ctx, last)
		return errors.Join(err, full(st, have...))
	})
	c.step("stop all and start all: the same ports", func() error { return c.stopStart(ctx, a, have) })
	c.step("the other cluster was left alone", func() error {
		st, err := b.c.Status(ctx)
		return errors.Join(err, full(st, b.indices()...), b.audit(ctx))
	})
	if a.c != nil && b.c != nil {
		c.always("down: nothing is left", func() error {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			return errors.Join(a.down(ctx), b.down(ctx))
		})
	}
}

// members adds a node to a cluster of three, and removes another one.
func (c *checker) members(ctx context.Context, a *checkedCluster) {
	c.step("add a node", func() error {
		st, err := a.c.Add(ctx, 1)
		return errors.Join(err, full(st, 1, 2, 3, 4))
	})
	c.step("remove node 2", func() error {
		st, err := a.c.Remove(ctx, 2)
		return errors.Join(err, full(st, 1, 3, 4))
	})
}

// up brings up both clusters at once.
func (c *checker) up(ctx context.Context) error {
	var wg sync.WaitGroup
	var mainErr, otherErr error
	wg.Go(func() { mainErr = c.main.up(ctx, c.o.Options) })
	wg.Go(func() { otherErr = c.other.up(ctx, c.o.Options) })
	wg.Wait()
	return cmp.Or(mainErr, otherErr) // one of them: they are often the same, and only an error by itself shows its log
}

func (k *checkedCluster) up(ctx context.Context, o Options) error {
	o.Cluster, o.Count = UniqueName("check"), k.count
	c, st, own, err := UpOwned(ctx, o)
	if err != nil {
		return err
	}
	k.c, k.release = c, own.Release
	return full(st, k.indices()...)
}

// end takes down a cluster whose last step failed.
func (k *checkedCluster) end() {
	if k.release != nil {
		k.release()
	}
}

// indices are the numbers of the nodes that the cluster starts with.
func (k *checkedCluster) indices() []int {
	var out []int
	for i := range k.count {
		out = append(out, i+1)
	}
	return out
}

// full wants just these nodes to run, each seeing all.
func full(st *Status, nodes ...int) error {
	if st == nil {
		return nil // there is an error already
	}
	var have []int
	var errs []error
	for _, n := range st.Nodes {
		have = append(have, n.Index)
		if n.State != control.Running {
			errs = append(errs, fmt.Errorf("node %d is %s %s\n%s", n.Index, n.State, n.Exit, lastLines(n.Log)))
		} else if n.Members != len(nodes) && n.Members != control.MembersUnknown {
			errs = append(errs, fmt.Errorf("node %d sees %d members, want %d", n.Index, n.Members, len(nodes)))
		}
	}
	if slices.Sort(have); !slices.Equal(have, nodes) {
		errs = append(errs, fmt.Errorf("the cluster has the nodes %v, want %v", have, nodes))
	}
	return errors.Join(errs...)
}

// lastLines are the end of a node's log.
func lastLines(path string) string {
	const most = 2 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	b, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most), most))
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(b)), "?")
}

// audit wants the sockets of all nodes to be those that the template declares.
func (k *checkedCluster) audit(ctx context.Context) error {
	st, err := k.c.Status(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range st.Audit {
		errs = append(errs, fmt.Errorf("node %d: %w", f.Node, &f))
	}
	return errors.Join(errs...)
}

// stopStart stops and starts a whole cluster, which must keep its ports.
func (c *checker) stopStart(ctx context.Context, k *checkedCluster, have []int) error {
	before, err := k.c.Status(ctx)
	if err != nil {
		return err
	}
	if _, err := k.c.Stop(ctx); err != nil {
		return err
	}
	after, err := k.c.Start(ctx)
	if err != nil {
		return err
	}
	for i, n := range before.Nodes {
		if !maps.Equal(n.Listeners, after.Nodes[i].Listeners) {
			return fmt.Errorf("node %d has other ports: %v, want %v", n.Index, after.Nodes[i].Listeners, n.Listeners)
		}
	}
	return errors.Join(full(after, have...), k.audit(ctx))
}

// down takes the cluster down; what is left is an error: processes, ports, its folder.
func (k *checkedCluster) down(ctx context.Context) error {
	p, err := k.c.Plan()
	if err != nil {
		return err
	}
	own := map[int]bool{} // the processes that have the ports now, also those that hide their environment
	for _, a := range addresses(p) {
		if h, ok := ports.Holder(a); ok {
			own[h.PID] = true
		}
	}
	claim := node.Claim(k.c.Dir(), p.ID) // as long as the folder is there
	if err := k.c.Down(ctx, false); err != nil {
		return err
	}
	infos, err := claim.Find()
	if err != nil {
		return err
	}
	var errs []error
	for _, i := range infos {
		errs = append(errs, fmt.Errorf("process %d (%s) is left", i.ID.PID, i.Name))
	}
	errs = append(errs, freed(ctx, addresses(p), own))
	if _, err := os.Lstat(k.c.Dir()); err == nil {
		errs = append(errs, fmt.Errorf("%s is left", k.c.Dir()))
	}
	return errors.Join(errs...)
}

// freed returns when none of the ports is held by the processes in own any more. Another cluster may have taken them since.
func freed(ctx context.Context, addrs []ports.Addr, own map[int]bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return probe.Until(ctx, nil, func(context.Context) error {
		busy, err := ports.Busy(addrs)
		if err != nil {
			return probe.Permanent(err)
		}
		var errs []error
		for _, a := range busy {
			if h, ok := ports.Holder(a); !ok || own[h.PID] {
				errs = append(errs, fmt.Errorf("%s is still in use", a))
			}
		}
		return errors.Join(errs...)
	})
}

// addresses are those of all listeners of a plan.
func addresses(p *plan.Plan) []ports.Addr {
	var out []ports.Addr
	for _, n := range p.Nodes {
		for _, l := range n.Listeners {
			for _, proto := range l.Protocols {
				out = append(out, ports.Addr{Proto: ports.Proto(strings.ToLower(proto)), Host: l.Host, Port: l.Port})
			}
		}
	}
	return out
}
