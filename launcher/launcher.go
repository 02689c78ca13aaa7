// Package launcher turns a server's node directory into a real cluster on this host, and takes it away again.
//
// It composes what stands in internal/: a template (what kind of server), a plan (every name, port and command, decided
// before anything is touched), and a keeper (the process that is parent of the nodes). It runs no server itself.
//
// Start at Up, then Cluster. Package launchertest is the way in for Go tests, package cli for people.
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
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"onemore/launcher/internal/keeper"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
)

// DefaultCount is the number of nodes of a new cluster that was not given one.
const DefaultCount = 3

// Options say what is wanted of a cluster. The zero value is three nodes of the built-in server, called "default".
type Options struct {
	Cluster  string // name; "" is "default"
	Template string // name, file or folder; "" is what Source is detected as, else the built-in node
	Source   string // node directory to copy
	Count    int    // nodes; 0: as many as there are, DefaultCount for a new cluster
	Least    int    // where Count is 0: so many, or more if the cluster has more

	Host   string // "" is 127.0.0.1
	Spread string // "" and "port", or "address"
	Offset int
	Base   string // "", "auto", or a number
	Set    map[string]int
	Env    map[string]string
	Params map[string]string
	Join   string
	Bin    string
	Nodes  map[int]NodeOptions
	Files  []FilePlan // laid over the copy of every node, before its edits

	Timeout  time.Duration // of one operation; 0: none
	Keep     bool          // leave everything in place when `up` fails
	dry      bool
	Progress func(Event) `json:"-"` // may be nil; called from one goroutine at a time
}

// NodeOptions are what one node has apart from the others.
type NodeOptions = plan.NodeOptions

// FilePlan is a file that is written into a node directory.
type FilePlan = plan.File

// InputError says that the call or its input is wrong; nothing was touched.
type InputError struct {
	Err  error
	Hint string
}

func (e *InputError) Error() string { return e.Err.Error() }
func (e *InputError) Unwrap() error { return e.Err }

// planTries is how often `up` plans anew when another cluster takes a planned port between the look and the lease.
const planTries = 20

// Up brings the cluster to o.Count running nodes that all see each other: it creates the cluster, starts its stopped
// nodes, or adds the missing ones, and returns when every node itself says so. When it fails, what it did is undone; the
// error is an *InputError or a *Failure.
func Up(ctx context.Context, o Options) (*Cluster, *Status, error) {
	c, st, _, err := bring(ctx, o, false)
	return c, st, err
}

// UpOwned is Up for a cluster that hangs on this process: when release is called, or the process dies in whatever way,
// the keeper takes the cluster down.
func UpOwned(ctx context.Context, o Options) (c *Cluster, st *Status, release func(), err error) {
	return bring(ctx, o, true)
}

func bring(ctx context.Context, o Options, own bool) (*Cluster, *Status, func(), error) {
	first := startEarly(ctx, o)
	defer first.close()
	for try := 1; ; try++ {
		d, err := decide(ctx, o)
		if err != nil {
			return nil, nil, nil, err
		}
		d.cluster.early = first
		release := func() {}
		var st *Status
		if own {
			release, _, err = d.cluster.own(ctx, d.request(), func(s *Status) { st = s })
		} else {
			st, err = d.cluster.do(ctx, d.request())
		}
		fail, ok := errors.AsType[*Failure](err)
		if again := ok && (fail.Stale || fail.Clash && !d.fixed); !again || try == planTries {
			return d.cluster, st, release, err
		}
	}
}

// DryRun is Up's plan; nothing is touched.
func DryRun(ctx context.Context, o Options) (*Plan, error) {
	o.dry = true
	d, err := decide(ctx, o)
	if err != nil {
		return nil, err
	}
	return d.plan, nil
}

// Add adds k nodes to the cluster.
func (c *Cluster) Add(ctx context.Context, k int) (*Status, error) {
	p, err := c.Plan()
	if err != nil {
		return nil, err
	}
	_, st, err := Up(ctx, Options{Cluster: c.name, Count: len(p.Nodes) + k, Timeout: c.timeout, Progress: c.progress})
	return st, err
}

// Remove lets nodes leave the cluster, stops them and removes their directories.
func (c *Cluster) Remove(ctx context.Context, nodes ...int) (*Status, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := keeper.ReadRecord(c.dir)
	if err != nil {
		return nil, err
	}
	if len(nodes) >= len(rec.Plan.Nodes) {
		return nil, &InputError{Err: errors.New("that would remove every node"), Hint: "use `onemore down`"}
	}
	p, err := c.leaving(ctx, rec, st, nodes)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, keeper.Request{Op: keeper.OpRemove, Plan: p, Revision: rec.Revision, Nodes: nodes, Options: rec.Options})
}

// leaving makes the cluster's plan anew with only those as peers that run and stay.
func (c *Cluster) leaving(ctx context.Context, rec *keeper.Record, st *Status, gone []int) (*plan.Plan, error) {
	var asked origin
	if err := json.Unmarshal(rec.Options, &asked); err != nil {
		return nil, fmt.Errorf("read what cluster %q was made from: %w", c.name, err)
	}
	t, _, err := chooseTemplate(ctx, asked.Template, "")
	if err != nil {
		return nil, err
	}
	po := rec.Plan.Options
	po.Formed = rec.Plan
	po.Acting = slices.DeleteFunc(running(st), func(i int) bool { return slices.Contains(gone, i) })
	p, err := plan.Make(t, po, plan.Host{})
	if err != nil {
		return nil, refusal(err, ports.View{})
	}
	return p, nil
}

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
}

func (d *decision) request() keeper.Request {
	asked, err := json.Marshal(d.asked)
	if err != nil {
		panic(err) // one string
	}
	return keeper.Request{Op: keeper.OpUp, Options: asked, Plan: d.plan, Revision: d.base, Nodes: d.nodes, Keep: d.options.Keep, Groups: d.groups}
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
	rec, err := keeper.ReadRecord(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	d := &decision{cluster: c, options: o, fixed: o.Offset != 0 && o.Base != "auto"}
	var st *Status
	if rec != nil {
		d.base = rec.Revision
		if st, err = c.Status(ctx); err != nil {
			return nil, err
		}
	}
	t, po, err := d.inputs(ctx, rec, st)
	if err != nil {
		return nil, err
	}
	h, view, err := look()
	if err != nil {
		return nil, err
	}
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
func (d *decision) inputs(ctx context.Context, rec *keeper.Record, st *Status) (*templateT, plan.Options, error) {
	o := d.options
	var po plan.Options
	formed := rec != nil && rec.Formed
	if rec != nil {
		if err := json.Unmarshal(rec.Options, &d.asked); err != nil {
			return nil, po, fmt.Errorf("read what cluster %q was made from: %w", o.Cluster, err)
		}
	}
	if formed && o.Template != "" && o.Template != d.asked.Template && o.Template != rec.Plan.Template {
		return nil, po, &InputError{Err: fmt.Errorf("cluster %q is of template %q, not %q", o.Cluster, rec.Plan.Template, o.Template),
			Hint: "name another cluster with -c, or take this one down first"}
	}
	if !formed {
		d.asked.Template = o.Template
	}
	src, err := absolute(o.Source)
	if err != nil {
		return nil, po, err
	}
	t, asked, err := chooseTemplate(ctx, d.asked.Template, src)
	if err != nil {
		return nil, po, err
	}
	d.asked.Template = asked
	base, err := plan.ParseBase(o.Base)
	if err != nil {
		return nil, po, refusal(err, ports.View{})
	}
	self, err := os.Executable()
	if err != nil {
		return nil, po, err
	}
	po = plan.Options{Cluster: o.Cluster, ID: random(8), Secret: random(16), Salt: random(3), Dir: d.cluster.dir, Host: o.Host, Spread: o.Spread == "address", Offset: o.Offset,
		Base: base, Set: o.Set, Env: o.Env, Source: src, Params: o.Params, Join: o.Join, Onemore: self, Node: maps.Clone(o.Nodes), Files: o.Files}
	if o.Spread != "" && o.Spread != "address" && o.Spread != "port" {
		return nil, po, &InputError{Err: fmt.Errorf("--spread %q", o.Spread), Hint: "use port or address"}
	}
	if rec != nil {
		po.ID = rec.Plan.ID
	}
	if o.dry {
		po.ID, po.Secret = "ID", "SECRET" // the real ones are made by the `up` that uses them
	}
	if formed {
		po.Formed, po.Acting = rec.Plan, running(st)
		had := rec.Plan.Options
		po.Source, o.Bin = cmp.Or(po.Source, had.Source), cmp.Or(o.Bin, had.Bin)
		if len(po.Env) == 0 {
			po.Env = had.Env
		}
		if len(po.Node) == 0 {
			po.Node = had.Node
		}
	}
	if err := d.wanted(&po); err != nil {
		return nil, po, err
	}
	if formed {
		d.fixed = len(po.Nodes) == 0 // what is there stays where it is; what is added can give way
	}
	if err := checkPaths(ctx, t, d.cluster, &po, o); err != nil {
		return nil, po, err
	}
	return t, po, nil
}

// wanted works out which nodes there shall be.
func (d *decision) wanted(po *plan.Options) error {
	n := d.options.Count
	if n < 0 {
		return &InputError{Err: fmt.Errorf("a cluster of %d nodes can't be", n), Hint: "give 1 or more"}
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
		if n.State == keeper.Running {
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
		p.Holder = fmt.Sprintf("another cluster, %q", v.Leases[i].Owner)
	}
	return &Failure{Node: p.Node, Why: p.Error(), Hint: p.Hint}
}

// checkPaths finds the programs and checks the folders that a plan relies on.
func checkPaths(ctx context.Context, t *templateT, c *Cluster, po *plan.Options, o Options) error {
	if err := keeper.CheckDir(c.dir); err != nil {
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
			if n.Bin, err = findProgram(t, "", n.Bin); err != nil {
				return &InputError{Err: fmt.Errorf("node %d: %w", i, err)}
			}
		}
		po.Node[i] = n
	}
	if err := checkVersions(ctx, t, po); err != nil {
		return err
	}
	return checkSources(ctx, t, po)
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
