package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/project"
	"onemore/launcher/internal/template"
)

// Stack is several clusters that are brought up and taken down together. On this host the cluster NAME of the stack STACK is
// STACK.NAME, so that stacks of different names live side by side.
type Stack struct {
	Name     string
	Clusters []StackMember     // each after those that it needs
	Env      map[string]string // for those who use the stack: texts
	opened   bool              // it was found on this host, not read from a file: what to make of it is not known
}

// StackMember is one cluster of a stack.
type StackMember struct {
	Name    string   // in the stack
	Needs   []string // others of the stack, which have formed before this one is made
	Options Options  // but for Cluster, which is the stack's affair
}

// stackSeparator stands between the stack's name and the cluster's.
const stackSeparator = "."

// splitStacked are the names of the stack and of the cluster in it; of a cluster that is in none, stack is "".
func splitStacked(name string) (stack, member string) {
	i := strings.LastIndex(name, stackSeparator)
	return name[:max(i, 0)], name[i+1:]
}

// Full is the name of a cluster of the stack on this host.
func (s *Stack) Full(member string) string { return s.Name + stackSeparator + member }

// Has reports whether the stack has a cluster of that name.
func (s *Stack) Has(member string) bool { return s.member(member) != nil }

func (s *Stack) member(name string) *StackMember {
	if i := slices.IndexFunc(s.Clusters, func(m StackMember) bool { return m.Name == name }); i >= 0 {
		return &s.Clusters[i]
	}
	return nil
}

// Names are the clusters of the stack, each after those that it needs.
func (s *Stack) Names() []string {
	var out []string
	for _, m := range s.Clusters {
		out = append(out, m.Name)
	}
	return out
}

// Rename is the stack under another name: a copy of it, beside it.
func (s *Stack) Rename(name string) (*Stack, error) {
	if err := validStackName(name); err != nil {
		return nil, &InputError{Err: err, Hint: "choose another name with --stack"}
	}
	renamed := *s
	renamed.Name = name
	return &renamed, nil
}

// validStackName says why a text can't name a stack, whose name begins those of its clusters.
func validStackName(name string) error {
	const longest = 19
	if err := ValidName(name); err != nil {
		return fmt.Errorf("stack: %w", err)
	}
	if len(name) > longest || strings.Contains(name, stackSeparator) {
		return fmt.Errorf("%q can't name a stack: at most %d bytes, none of them %q", name, longest, stackSeparator)
	}
	return nil
}

// newStack is the stack of a project file.
func newStack(p *project.Project) (*Stack, error) {
	ps := p.Stack
	s := &Stack{Name: cmp.Or(ps.Name, clusterName(filepath.Base(filepath.Dir(p.Path)))), Env: ps.Env}
	s.Name = s.Name[:min(len(s.Name), map[bool]int{true: len(s.Name), false: 19}[ps.Name != ""])]
	if err := validStackName(s.Name); err != nil {
		return nil, &InputError{Err: fmt.Errorf("%s: %w", p.Where("stack"), err), Hint: "name the stack otherwise in this file"}
	}
	for _, name := range ps.Order {
		one := ps.Clusters[name]
		s.Clusters = append(s.Clusters, StackMember{Name: name, Needs: one.Needs, Options: memberOptions(one)})
	}
	for _, name := range slices.Sorted(maps.Keys(ps.Env)) {
		if err := template.CheckForStack(ps.Env[name], ps.Order); err != nil {
			return nil, &InputError{Err: fmt.Errorf("%s: %w", p.Where("env."+name), err),
				Hint: `in a stack, [env] is for those who use it, and reads its clusters: {{(stack "NAME").URLs "LISTENER"}}`}
		}
	}
	return s, nil
}

func memberOptions(p *project.Project) Options {
	o := projectOptions(p)
	o.needs = p.Needs
	return o
}

// OpenStack is the stack whose clusters are on this host, as far as they are recorded; the error wraps ErrNoCluster when none is.
func OpenStack(name string) (*Stack, error) {
	if err := validStackName(name); err != nil {
		return nil, &InputError{Err: err, Hint: "choose another name with --stack"}
	}
	s := &Stack{Name: name, opened: true}
	if err := s.addPresent(); err != nil {
		return nil, err
	}
	if len(s.Clusters) == 0 {
		return nil, fmt.Errorf("stack %q: %w", name, ErrNoCluster)
	}
	return s, nil
}

// addPresent adds the clusters that are on this host under the stack's name, and that its file does not have (any more).
func (s *Stack) addPresent() error {
	names, err := Names()
	if err != nil {
		return err
	}
	home, err := homeDir()
	if err != nil {
		return err
	}
	needs := map[string][]string{}
	for _, full := range names {
		stack, member := splitStacked(full)
		if stack != s.Name || s.Has(member) {
			continue
		}
		needs[member] = nil
		if rec, err := cluster.ReadRecord(filepath.Join(home, full)); err == nil { // a damaged one is taken down all the same
			needs[member] = slices.Sorted(maps.Keys(rec.Plan.Options.Needs))
		}
	}
	for len(needs) > 0 {
		before := len(needs)
		for _, name := range slices.Sorted(maps.Keys(needs)) {
			if !slices.ContainsFunc(needs[name], func(need string) bool { _, waits := needs[need]; return waits }) {
				s.Clusters = append(s.Clusters, StackMember{Name: name, Needs: needs[name]})
				delete(needs, name)
			}
		}
		if len(needs) == before {
			return fmt.Errorf("the records of stack %q have a circle of needs", s.Name) // no `up` makes one
		}
	}
	return nil
}

// open are the clusters of the stack that are on this host, each after those that it needs.
func (s *Stack) open(o Options, progress func(string, Event)) ([]*Cluster, error) {
	var out []*Cluster
	for _, m := range s.Clusters {
		c, err := Open(s.Full(m.Name), o)
		if errors.Is(err, ErrNoCluster) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if progress != nil {
			c.progress = func(e Event) { progress(m.Name, e) }
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("stack %q: %w", s.Name, ErrNoCluster)
	}
	return out, nil
}

// each calls f for every cluster, at once for those that don't wait for each other: after those that it needs or, in reverse, after
// those that need it. With stop, nothing begins after an error. The errors name their cluster.
func (s *Stack) each(ctx context.Context, reverse, stop bool, f func(context.Context, *StackMember) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := map[string]chan struct{}{}
	for _, m := range s.Clusters {
		done[m.Name] = make(chan struct{})
	}
	errs := make([]error, len(s.Clusters))
	var all sync.WaitGroup
	for i := range s.Clusters {
		m := &s.Clusters[i]
		all.Go(func() {
			defer close(done[m.Name])
			for _, other := range s.before(m, reverse) {
				<-done[other]
			}
			if stop && ctx.Err() != nil {
				return
			}
			if err := f(ctx, m); err != nil {
				errs[i] = inCluster(m.Name, err)
				if stop {
					cancel(errs[i])
				}
			}
		})
	}
	all.Wait()
	if first := context.Cause(ctx); stop && first != nil {
		return first // the others were ended by it, or have not begun
	}
	return errors.Join(errs...)
}

// before are the clusters that m waits for.
func (s *Stack) before(m *StackMember, reverse bool) []string {
	var out []string
	for _, other := range s.Clusters {
		if !reverse && slices.Contains(m.Needs, other.Name) || reverse && slices.Contains(other.Needs, m.Name) {
			out = append(out, other.Name)
		}
	}
	return out
}

// inCluster names the cluster of the stack that an error is about.
func inCluster(name string, err error) error {
	if f, ok := errors.AsType[*Failure](err); ok {
		named := *f
		named.Cluster = name
		return &named
	}
	if in, ok := errors.AsType[*InputError](err); ok {
		return &InputError{Err: fmt.Errorf("cluster %s: %w", name, in.Err), Hint: in.Hint}
	}
	return fmt.Errorf("cluster %s: %w", name, err)
}

// currentNeeds are the clusters of a stack as they are now; one that can't be read is as it was recorded. dir is the folder of a
// cluster that needs them.
func currentNeeds(dir string, recorded map[string]plan.Needed) map[string]plan.Needed {
	out := maps.Clone(recorded)
	for name, n := range recorded {
		if rec, err := cluster.ReadRecord(filepath.Join(filepath.Dir(dir), n.Cluster)); err == nil {
			out[name] = rec.Plan.AsNeeded()
		}
	}
	return out
}

// neededNow are the clusters of the stack that the one in f needs, which must have formed.
func neededNow(f folder, needs []string) (map[string]plan.Needed, error) {
	stack, member := splitStacked(f.name)
	out := map[string]plan.Needed{}
	for _, need := range needs {
		full := stack + stackSeparator + need
		rec, err := cluster.ReadRecord(filepath.Join(filepath.Dir(f.dir), full))
		if err != nil || !rec.Formed {
			return nil, &InputError{Err: fmt.Errorf("cluster %s needs %s, and there is no cluster %q", member, need, full),
				Hint: "`onemore up` without -c brings up the whole stack"}
		}
		out[need] = rec.Plan.AsNeeded()
	}
	return out, nil
}

// One are the options by which `up` brings up one cluster of the stack, and its name on this host.
func (s *Stack) One(member string) (Options, error) {
	m := s.member(member)
	if m == nil {
		return Options{}, &InputError{Err: fmt.Errorf("stack %q has no cluster %q", s.Name, member), Hint: "it has " + strings.Join(s.Names(), ", ")}
	}
	o := m.Options
	o.Cluster = s.Full(member)
	return o, nil
}

// Environment returns every address of the stack as variables: ONEMORE_STACK, what the stack's file says, and the variables of each
// cluster, as Environment has them, with ONEMORE_<CLUSTER>_ in place of ONEMORE_.
func (s *Stack) Environment() ([]Variable, error) {
	clusters, err := s.open(Options{}, nil)
	if err != nil {
		return nil, err
	}
	out := []Variable{{"ONEMORE_STACK", s.Name}}
	seen := map[string]*template.Stacked{}
	var addresses []Variable
	for _, c := range clusters {
		p, err := c.Plan()
		if err != nil {
			return nil, err
		}
		_, member := splitStacked(c.name)
		seen[member] = p.AsNeeded().Stacked()
		prefix := "ONEMORE_" + strings.ReplaceAll(strings.ToUpper(member), "-", "_") + "_"
		for _, v := range Environment(p) {
			addresses = append(addresses, Variable{prefix + strings.TrimPrefix(v.Name, "ONEMORE_"), v.Value})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		value, err := template.ExpandForStack(s.Env[name], seen)
		if err != nil {
			return nil, &InputError{Err: fmt.Errorf("env %s: %w", name, err), Hint: "`onemore up` makes the clusters that are missing"}
		}
		out = append(out, Variable{name, value})
	}
	return append(out, addresses...), nil
}
