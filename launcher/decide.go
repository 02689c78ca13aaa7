package launcher

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/template"
)

// decision is what an `up` will do.
type decision struct {
	cluster *Cluster
	options Options
	asked   origin
	plan    *plan.Plan
	groups  bool  // nodes are to be told apart by the kernel
	nodes   []int // that are to run
	base    int   // revision of the record that the plan is made from
	fixed   bool  // the plan can't be another: the ports are formed or were given
}

// origin is what a cluster was made from; the keeper records it for later commands.
type origin struct {
	Template string `json:"template"`
	Stamp    string `json:"stamp,omitempty"` // Options.stamp
}

func (d *decision) request() control.Request {
	asked, err := json.Marshal(d.asked)
	if err != nil {
		panic(err) // plain strings
	}
	return control.Request{Op: control.OpUp, Options: asked, Plan: d.plan, Revision: d.base, Nodes: d.nodes, Keep: d.options.Keep, Groups: d.groups}
}

// decide looks at everything that an `up` depends on, and plans. It touches nothing but ONEMORE_HOME itself.
func decide(ctx context.Context, o Options) (*decision, error) {
	if o.Cluster == "" {
		o.Cluster = "default"
	}
	c, err := at(o.Cluster, o)
	if err != nil {
		return nil, err
	}
	rec, err := c.record()
	if err != nil && (!errors.Is(err, ErrNoCluster) || o.more > 0) {
		return nil, err
	}
	d := &decision{cluster: c, options: o, fixed: o.Offset != 0 && o.Base != "auto"}
	if rec != nil {
		d.base = rec.Revision
	}
	t, po, err := d.inputs(ctx, rec)
	if err != nil {
		return nil, err
	}
	h, view, err := look()
	if err != nil {
		return nil, err
	}
	h.Used = append(h.Used, o.taken...)
	d.groups = !t.OwnFaults()
	d.plan, err = plan.Make(t, po, h)
	if err != nil {
		return nil, refusal(err, view)
	}
	if d.nodes == nil {
		for _, n := range d.plan.Nodes {
			d.nodes = append(d.nodes, n.Index)
		}
	}
	return d, nil
}

// inputs gathers the template and the options of the plan, from the call and from what the cluster already is.
func (d *decision) inputs(ctx context.Context, rec *cluster.Record) (*templateT, plan.Options, error) {
	o := d.options
	var po plan.Options
	formed := rec != nil && rec.Formed
	if rec != nil {
		if err := json.Unmarshal(rec.Options, &d.asked); err != nil {
			return nil, po, fmt.Errorf("read what cluster %q was made from: %w", o.Cluster, err)
		}
	}
	if o.Spread != "" && o.Spread != "address" && o.Spread != "port" {
		return nil, po, &InputError{Err: fmt.Errorf("--spread %q", o.Spread), Hint: "use port or address"}
	}
	if template.IsPath(o.Template) {
		abs, err := filepath.Abs(o.Template)
		if err != nil {
			return nil, po, &InputError{Err: err}
		}
		o.Template = abs
	}
	if formed && o.Template != "" && o.Template != d.asked.Template && o.Template != rec.Plan.Template {
		return nil, po, &InputError{Err: fmt.Errorf("cluster %q is of template %q, not %q", o.Cluster, rec.Plan.Template, o.Template),
			Hint: "name another cluster with -c, or take this one down first"}
	}
	if !formed {
		d.asked.Template, d.asked.Stamp = o.Template, o.stamp
	}
	src, err := absolute(o.Source)
	if err != nil {
		return nil, po, err
	}
	t, asked, err := chooseTemplate(ctx, d.asked.Template, src)
	if err != nil {
		key := "template"
		if d.asked.Template == "" {
			key = "source"
		}
		return nil, po, o.placed(key, err)
	}
	d.asked.Template = asked
	if err := cmp.Or(o.checkBin(t), o.checkHost()); err != nil {
		return nil, po, err
	}
	base, err := plan.ParseBase(o.Base)
	if err != nil {
		return nil, po, refusal(err, ports.View{})
	}
	self, err := os.Executable()
	if err != nil {
		return nil, po, err
	}
	po = plan.Options{Cluster: o.Cluster, ID: random(8), Secret: random(16), Salt: random(3), Dir: d.cluster.dir, Host: o.Host, Spread: o.Spread == "address", Offset: o.Offset,
		Base: base, Set: o.Set, Env: o.Env, Source: src, Params: o.Params, Join: o.Join, Onemore: self, Node: maps.Clone(o.Nodes), Files: o.Files,
		Places: o.places}
	d.identify(&po, rec)
	if formed {
		po.Formed = rec.Plan // those that are stopped are started first, so all of them act
		inherit(&po, rec.Plan.Options)
		o.Bin = cmp.Or(o.Bin, rec.Plan.Options.Bin)
	}
	if err := d.wanted(&po); err != nil {
		return nil, po, err
	}
	if formed {
		if err := d.options.fit(rec.Plan, po.Nodes); err != nil {
			return nil, po, err
		}
		d.fixed = len(po.Nodes) == 0 // what is there stays where it is; what is added can give way
	}
	if err := checkPaths(ctx, t, d.cluster, &po, o); err != nil {
		return nil, po, err
	}
	return t, po, nil
}

// identify gives the plan the identity of what is there already: a record, or a folder that an `up` made before it was killed.
func (d *decision) identify(po *plan.Options, rec *cluster.Record) {
	if id, ok, err := nodedir.Marked(d.cluster.dir); err == nil && ok {
		po.ID = id
	}
	if rec != nil {
		po.ID = rec.Plan.ID
	}
	if d.options.dry {
		po.ID, po.Secret = "ID", "SECRET" // the real ones are made by the `up` that uses them
	}
}

// inherit lets options that were not given be what they were when the cluster was formed.
func inherit(po *plan.Options, had plan.Options) {
	po.Source = cmp.Or(po.Source, had.Source)
	if len(po.Env) == 0 {
		po.Env = had.Env
	}
	node := maps.Clone(had.Node)
	for i, own := range po.Node {
		if !slices.ContainsFunc(po.Formed.Nodes, func(n plan.Node) bool { return n.Index == i }) { // what is there stays as it was made
			node = over(map[int]NodeOptions{i: own}, node)
		}
	}
	po.Node = node
}

// wanted works out which nodes there shall be.
func (d *decision) wanted(po *plan.Options) error {
	n := d.options.Count
	if n < 0 {
		return &InputError{Err: fmt.Errorf("a cluster of %d nodes can't be", n), Hint: "give 1 or more"}
	}
	if d.options.more > 0 && po.Formed != nil {
		n = len(po.Formed.Nodes) + d.options.more
	}
	if n == 0 {
		n = d.options.Least
		if po.Formed != nil {
			n = max(n, len(po.Formed.Nodes))
		}
	}
	if po.Formed == nil {
		if n == 0 {
			n = DefaultCount
		}
		for i := 1; i <= n; i++ {
			po.Nodes = append(po.Nodes, i)
		}
		return nil
	}
	var have []int
	for _, node := range po.Formed.Nodes {
		have = append(have, node.Index)
	}
	if n != 0 && n < len(have) {
		return &InputError{Err: fmt.Errorf("cluster %q has %d nodes; `up` takes none away", d.options.Cluster, len(have)),
			Hint: "use `onemore remove NODE`"}
	}
	for i := 1; len(have)+len(po.Nodes) < n; i++ {
		if !slices.Contains(have, i) {
			po.Nodes = append(po.Nodes, i)
		}
	}
	return nil
}

// running lists the nodes of a status that run.
func running(st *Status) []int {
	out := []int{}
	for _, n := range st.Nodes {
		if n.State == control.Running {
			out = append(out, n.Index)
		}
	}
	return out
}

// look takes the host's view in the form that a plan wants.
func look() (plan.Host, ports.View, error) {
	v, err := ports.Look()
	if err != nil {
		return plan.Host{}, v, fmt.Errorf("look at the host's ports: %w", err)
	}
	h := plan.Host{EphemeralLow: v.EphemeralLow, EphemeralHigh: v.EphemeralHigh}
	for _, s := range v.Sockets {
		h.Used = append(h.Used, plan.Port{Proto: string(s.Proto), Host: s.Host.String(), Port: s.Port})
	}
	for _, l := range v.Leases {
		if l.Addr.Port != 0 {
			h.Used = append(h.Used, plan.Port{Proto: string(l.Addr.Proto), Host: l.Addr.Host, Port: l.Addr.Port})
		}
	}
	return h, v, nil
}

// refusal gives a plan's error the form for people, with the holder of a taken port.
func refusal(err error, v ports.View) error {
	var r *plan.Refusal
	if errors.As(err, &r) {
		return &InputError{Err: err, Hint: r.Hint}
	}
	var p *plan.PortError
	if !errors.As(err, &p) {
		return err
	}
	a := ports.Addr{Proto: ports.Proto(p.Proto), Host: p.Host, Port: p.Port}
	if h, ok := ports.Holder(a); ok {
		p.Holder = fmt.Sprintf("%s (pid %d)", h.Name, h.PID)
	} else if i := slices.IndexFunc(v.Leases, func(l ports.Leased) bool { return ports.Conflict(l.Addr, a) }); i >= 0 {
		p.Holder = fmt.Sprintf("another cluster, %q (keeper: pid %d)", v.Leases[i].Owner, v.Leases[i].PID)
	}
	return &Failure{Node: p.Node, Why: p.Error(), Hint: p.Hint}
}

// checkPaths finds the programs and checks the folders that a plan relies on.
func checkPaths(ctx context.Context, t *templateT, c *Cluster, po *plan.Options, o Options) error {
	if err := control.CheckDir(c.dir); err != nil {
		return &InputError{Err: err, Hint: "set ONEMORE_HOME to a shorter path, or give the cluster a shorter name"}
	}
	if err := findPrograms(t, po, o); err != nil {
		return err
	}
	for i, n := range po.Node {
		var err error
		if n.Source, err = absolute(n.Source); err != nil {
			return err
		}
		if n.Bin != "" {
			if n.Bin, err = findProgram(t, "", n.Bin, o.named(fmt.Sprintf("node.%d.bin", i))); err != nil {
				return &InputError{Err: err}
			}
		}
		po.Node[i] = n
	}
	if err := checkVersions(ctx, t, po); err != nil {
		return err
	}
	if err := apart(c.dir, po); err != nil {
		return o.placed("source", err)
	}
	return o.placed("source", checkSources(ctx, t, po))
}

// apart refuses sources that the cluster would be made in: they are never written to.
func apart(dir string, po *plan.Options) error {
	sources := []string{po.Source}
	for _, n := range po.Node {
		sources = append(sources, n.Source)
	}
	home, err := filepath.EvalSymlinks(filepath.Dir(dir))
	for _, src := range sources {
		if real, rerr := filepath.EvalSymlinks(src); src != "" && err == nil && rerr == nil {
			if rel, rerr := filepath.Rel(real, home); rerr == nil && filepath.IsLocal(rel) {
				return &InputError{Err: fmt.Errorf("ONEMORE_HOME, %s, is in the source %s, which is never written to", home, src),
					Hint: "set ONEMORE_HOME to a directory elsewhere"}
			}
		}
	}
	return nil
}

func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", &InputError{Err: err}
	}
	return abs, nil
}

// random is n bytes of randomness in hex.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// hash is a short name for bytes.
func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}
