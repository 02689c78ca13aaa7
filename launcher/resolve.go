package launcher

import (
	"cmp"
	"context"
	"crypto/rand"
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

// target is the cluster that an `up` is about, and what the call says besides the caller's options.
type target struct {
	dir    string                 // the cluster's folder; it need not exist
	record *cluster.Record        // nil: there is no cluster yet
	add    int                    // nodes to add to those that there are; 0: the options say how many there are to be
	stamp  string                 // of the files that the options name; recorded for `run --reuse`
	taken  []plan.Port            // ports that can't be had, though the host's view has them free
	needs  map[string]plan.Needed // clusters of the stack that it needs; nil: those that are recorded
	dryRun bool
}

// formed is the plan of a cluster whose first `up` succeeded, else nil.
func (t target) formed() *plan.Plan {
	if t.record == nil || !t.record.Formed {
		return nil
	}
	return t.record.Plan
}

// resolved is what an `up` asks of the cluster's keeper.
type resolved struct {
	request    control.Request
	formed     bool // the cluster was there before
	fixedPorts bool // the ports are formed or were given: planning again would choose the same
}

// resolve turns options, the record of the cluster, if there is one, and the state of the host into the request of an `up`.
// It changes nothing. Options.Cluster must be set.
func resolve(ctx context.Context, o Options, on target) (*resolved, error) {
	if err := o.checkSpread(); err != nil {
		return nil, err
	}
	o, err := o.absolutePaths()
	if err != nil {
		return nil, err
	}
	if o, err = o.unpackSources(ctx); err != nil {
		return nil, err
	}
	t, from, err := resolveTemplate(ctx, o, on)
	if err != nil {
		return nil, err
	}
	if o, err = o.fetchReleases(ctx, t); err != nil {
		return nil, err
	}
	if err := cmp.Or(o.checkBin(t), o.checkHost()); err != nil {
		return nil, err
	}
	po, err := planOptions(o, on)
	if err != nil {
		return nil, err
	}
	if po.Nodes, err = nodesToMake(t, o, on); err != nil {
		return nil, err
	}
	if formed := on.formed(); formed != nil {
		if err := o.compatible(formed, po.Nodes); err != nil {
			return nil, err
		}
	}
	if err := checkInputs(ctx, t, &po, o); err != nil {
		return nil, err
	}
	host, view, err := hostView()
	if err != nil {
		return nil, err
	}
	host.Used = append(host.Used, on.taken...)
	p, err := plan.Make(t, po, host)
	if err != nil {
		return nil, planError(err, view, filepath.Dir(on.dir))
	}
	giveAddresses(p)
	req := upRequest(o, on, t, from, p)
	if on.formed() != nil && len(po.Nodes) > 0 {
		if req.Next, err = replan(t, &cluster.Record{Plan: p}, p.Options, nil); err != nil {
			return nil, err
		}
	}
	return &resolved{request: req, formed: on.formed() != nil, fixedPorts: fixedPorts(o, on, po)}, nil
}

// resolveTemplate finds the template: the one that a formed cluster was made from, else the one that the options name, or
// that their source is detected as.
func resolveTemplate(ctx context.Context, o Options, on target) (*template.Template, origin, error) {
	var from origin
	var err error
	if on.record != nil {
		if from, err = readOrigin(on.record); err != nil {
			return nil, from, err
		}
	}
	formed := on.formed()
	if o.Program != nil || formed != nil && from.Text != "" {
		return resolveProgram(o, from, on)
	}
	if formed == nil {
		from = origin{Template: o.Template, Stamp: on.stamp}
	} else if o.Template != "" && o.Template != from.Template && o.Template != formed.Template {
		return nil, from, &InputError{Err: fmt.Errorf("cluster %q is of template %q, not %q", o.Cluster, formed.Template, o.Template),
			Hint: "name another cluster with -c, or take this one down first"}
	}
	key := "template"
	if from.Template == "" {
		key = "source"
	}
	t, name, err := chooseTemplate(ctx, from.Template, o.Source)
	if err != nil {
		return nil, from, o.withPlace(key, err)
	}
	from.Template = name
	return t, from, nil
}

// planOptions are the options in the plan's form. Those that are not set are what they were when the cluster was formed.
func planOptions(o Options, on target) (plan.Options, error) {
	base, err := plan.ParseBase(o.Base)
	if err != nil {
		return plan.Options{}, inputError(err)
	}
	self, err := os.Executable()
	if err != nil {
		return plan.Options{}, err
	}
	po := plan.Options{Cluster: o.Cluster, ID: clusterID(on), Secret: random(16), Salt: random(3), Dir: on.dir, Host: o.Host, Spread: o.Spread == "address",
		Offset: o.Offset, Base: base, Set: o.Set, Env: o.Env, CleanEnv: o.CleanEnv, User: o.User, Source: o.Source, Params: o.Params, Roles: o.Roles, Role: o.role, Join: o.Join, Seed: o.Seed, Bin: o.Bin, Onemore: self,
		Node: maps.Clone(o.Nodes), Files: o.Files, Needs: on.needs, Places: o.places}
	if on.dryRun {
		po.ID, po.Secret = "ID", "SECRET" // the real ones are made by the `up` that uses them
	}
	if formed := on.formed(); formed != nil {
		po.Formed = formed // those that are stopped are started first, so all of them act
		inherit(&po, formed.Options)
		if po.Needs == nil {
			po.Needs = currentNeeds(on.dir, formed.Options.Needs)
		}
	}
	return po, nil
}

// clusterID is the identity of what exists already, a record or the folder of an `up` that was killed, else a new one.
func clusterID(on target) string {
	if on.record != nil {
		return on.record.Plan.ID
	}
	if id, ok, err := nodedir.Marked(on.dir); err == nil && ok {
		return id
	}
	return random(8)
}

// inherit takes options that are not set from those that a formed cluster was made with.
func inherit(po *plan.Options, recorded plan.Options) {
	po.Source, po.Bin = cmp.Or(po.Source, recorded.Source), cmp.Or(po.Bin, recorded.Bin)
	if len(po.Env) == 0 {
		po.Env = recorded.Env
	}
	node := maps.Clone(recorded.Node)
	for i, own := range po.Node {
		if !hasNode(po.Formed, i) { // existing nodes stay as they were made
			node = overlay(map[int]NodeOptions{i: own}, node)
		}
	}
	po.Node = node
}

// nodesToMake are the numbers of the nodes that are to be made, besides those of a formed cluster.
func nodesToMake(t *template.Template, o Options, on target) ([]int, error) {
	if o.Count < 0 {
		return nil, &InputError{Err: fmt.Errorf("a cluster of %d nodes can't be", o.Count), Hint: "give 1 or more"}
	}
	var exist []int
	if formed := on.formed(); formed != nil {
		exist = indices(formed)
	}
	total := nodesWanted(t, o, on, len(exist))
	if total < len(exist) {
		return nil, &InputError{Err: fmt.Errorf("cluster %q has %d nodes; `up` takes none away", o.Cluster, len(exist)),
			Hint: "use `onemore remove NODE`"}
	}
	var out []int
	for i := 1; len(exist)+len(out) < total; i++ {
		if !slices.Contains(exist, i) {
			out = append(out, i)
		}
	}
	return out, nil
}

// nodesWanted is how many nodes there are to be; exist is how many a formed cluster has, 0 for another one.
func nodesWanted(t *template.Template, o Options, on target, exist int) int {
	switch {
	case on.add > 0 && exist > 0:
		return exist + on.add
	case o.Count > 0:
		return o.Count
	case exist > 0:
		return max(o.Least, o.fixedByRoles(t), exist)
	case o.fixedByRoles(t) > 0:
		return o.fixedByRoles(t)
	}
	return cmp.Or(o.Least, DefaultCount)
}

// checkInputs finds the programs and checks the folders that a plan relies on.
func checkInputs(ctx context.Context, t *template.Template, po *plan.Options, o Options) error {
	if err := control.CheckDir(po.Dir); err != nil {
		return &InputError{Err: err, Hint: "set ONEMORE_HOME to a shorter path, or give the cluster a shorter name"}
	}
	if err := o.checkUser(cmp.Or(po.User, t.Start.User), filepath.Dir(po.Dir)); err != nil {
		return err
	}
	if err := findPrograms(t, po, o.label("bin")); err != nil {
		return err
	}
	for i, n := range po.Node {
		if n.Bin == "" {
			continue
		}
		if err := checkProgram(n.Bin, o.label(fmt.Sprintf("node.%d.bin", i))); err != nil {
			return &InputError{Err: err}
		}
	}
	if err := checkVersions(ctx, t, po); err != nil {
		return err
	}
	if err := outsideSources(po); err != nil {
		return o.withPlace("source", err)
	}
	if err := o.withPlace("seed", checkSeed(po)); err != nil {
		return err
	}
	return o.withPlace("source", checkSources(ctx, t, po))
}

// outsideSources refuses a cluster whose folder would be inside a source: sources are never written to.
func outsideSources(po *plan.Options) error {
	sources := []string{po.Source}
	for _, n := range po.Node {
		sources = append(sources, n.Source)
	}
	home, err := filepath.EvalSymlinks(filepath.Dir(po.Dir))
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

// checkSources checks every node directory that is going to be copied, and reads what their config files say.
func checkSources(ctx context.Context, t *template.Template, po *plan.Options) error {
	var err error
	for i, n := range po.Node {
		if n.Source == "" {
			continue
		}
		if err := nodedir.CheckSource(ctx, n.Source, t.Copy.Exclude...); err != nil {
			return &InputError{Err: fmt.Errorf("source of node %d: %w", i, err)}
		}
		if !slices.Contains(po.Nodes, i) {
			continue
		}
		if po.Configs == nil {
			po.Configs = map[int]*template.Config{}
		}
		if po.Configs[i], err = readConfig(t, n.Source, overlay(n.Env, po.Env)); err != nil {
			return fmt.Errorf("source of node %d: %w", i, err)
		}
	}
	if po.Source == "" {
		if len(po.Configs) > 0 && len(po.Configs) == len(po.Nodes) { // the first node's counts for all
			po.Config = po.Configs[slices.Min(po.Nodes)]
		}
		return nil
	}
	if err := nodedir.CheckSource(ctx, po.Source, t.Copy.Exclude...); err != nil {
		return &InputError{Err: err, Hint: sourceHint}
	}
	po.Config, err = readConfig(t, po.Source, po.Env)
	return err
}

// readConfig reads what the config files of a source say. env is what nodes are given besides the shell's variables.
func readConfig(t *template.Template, source string, env map[string]string) (*template.Config, error) {
	config, err := t.ReadConfig(os.DirFS(source), source, func(name string) (string, bool) {
		if value, ok := env[name]; ok {
			return value, true
		}
		return os.LookupEnv(name)
	})
	if err != nil {
		return nil, &InputError{Err: fmt.Errorf("source %s: %w", source, err)}
	}
	return config, nil
}

// fixedPorts reports whether planning again would choose the same ports. Existing nodes keep theirs; added ones can move.
func fixedPorts(o Options, on target, po plan.Options) bool {
	if on.formed() != nil {
		return len(po.Nodes) == 0
	}
	return o.Offset != 0 && o.Base != "auto"
}

func upRequest(o Options, on target, t *template.Template, from origin, p *plan.Plan) control.Request {
	recorded, err := json.Marshal(from)
	if err != nil {
		panic(err) // plain strings
	}
	req := control.Request{Op: control.OpUp, Options: recorded, Plan: p, Nodes: indices(p), Keep: o.Keep, Groups: !t.OwnFaults()}
	if on.record != nil {
		req.Revision = on.record.Revision
	}
	return req
}

// indices are the numbers of a plan's nodes.
func indices(p *plan.Plan) []int {
	var out []int
	for _, n := range p.Nodes {
		out = append(out, n.Index)
	}
	return out
}

// replan plans a formed cluster anew, on the ports that it has, with the options po. Only the nodes in running can be peers.
func replan(t *template.Template, rec *cluster.Record, po plan.Options, running []int) (*plan.Plan, error) {
	po.Formed, po.Acting, po.Needs = rec.Plan, running, currentNeeds(rec.Plan.Dir, po.Needs)
	p, err := plan.Make(t, po, plan.Host{})
	if err != nil {
		return nil, planError(err, ports.View{}, "")
	}
	return p, nil
}

// maxTries is how often a change is planned anew when the cluster changes, or a planned port is taken, between the plan and
// the request to the keeper.
const maxTries = 20

// retryStale calls f, which makes a plan from the cluster's record and asks its keeper, again while the cluster has changed
// in between.
func retryStale(f func() (*Status, error)) (*Status, error) {
	for try := 1; ; try++ {
		st, err := f()
		if fail, ok := errors.AsType[*Failure](err); !ok || !fail.Stale || try == maxTries {
			return st, err
		}
	}
}

// random is n bytes of randomness in hex.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
