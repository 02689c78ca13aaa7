package learn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

const (
	mostNeeded  = 6               // variables that are looked for
	needTimeout = 5 * time.Second // of a start without some variables, beyond twice what one with all of them took
)

// findNeeded finds the variables of the environment without which the server does not serve as it did. Nodes of the draft's
// clusters get the few of o.Bare by themselves, and what the draft says.
func (l *learner) findNeeded(ctx context.Context, v *variables, p *proof, found []Listener) (err error) {
	if l.o.Bare == nil || p.failed != nil {
		return nil
	}
	bare, rest := l.sortVariables(v.own, p)
	l.o.Log("start another without the shell's variables")
	lives := func(more []string) bool {
		if err != nil {
			return false
		}
		var got *proof
		got, err = l.try(ctx, p.occurrences, found, setup{env: slices.Concat(bare, v.needed, more), timeout: 2*p.took + needTimeout})
		return err == nil && got.failed == nil && got.proven >= p.proven
	}
	for !lives(nil) && err == nil {
		// The last variable of the shortest list with which it lives is needed.
		n := sort.Search(len(rest), func(n int) bool { return lives(rest[:n]) })
		if n == 0 || len(v.needed) == mostNeeded || n == len(rest) && !lives(rest) {
			v.words = append(v.words, "Without the shell's variables the server did not serve as it did; which it needs was not found out: see [environment].")
			return err
		}
		v.needed = append(v.needed, rest[n-1])
		rest = rest[:n-1]
	}
	return err
}

// sortVariables divides the environment into what a node of the draft gets by itself, and what it may need besides.
func (l *learner) sortVariables(own []string, p *proof) (bare, rest []string) {
	all := inherited()
	bare = slices.DeleteFunc(l.o.Bare(slices.Clone(all)), func(kv string) bool { return isOneOf(own, kv) })
	for _, kv := range all {
		name, _, _ := strings.Cut(kv, "=")
		if _, told := p.occurrences.env[name]; told {
			bare = append(bare, kv)
		} else if !slices.Contains(bare, kv) {
			rest = append(rest, kv)
		}
	}
	return bare, rest
}

// isOneOf tells whether NAME=VALUE is one of the variables, whose names may end with *.
func isOneOf(names []string, kv string) bool {
	name, _, _ := strings.Cut(kv, "=")
	return slices.ContainsFunc(names, func(n string) bool {
		prefix, open := strings.CutSuffix(n, "*")
		return n == name || open && strings.HasPrefix(name, prefix)
	})
}

// bringUp brings the draft up, as far as Options.Try can, and says in words what came of it.
func (l *learner) bringUp(ctx context.Context, d *Draft) (words string, err error) {
	if l.o.Try == nil {
		return "", nil
	}
	l.o.Log("bring the draft up")
	nodes, why := l.o.Try(ctx, d.TOML)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	d.Nodes = nodes
	if why == nil {
		return fmt.Sprintf("The draft was brought up: %d nodes.", nodes), nil
	}
	d.Trouble = why.Error()
	if nodes == 0 {
		var log []string
		if e, ok := errors.AsType[*Error](why); ok {
			log = e.Log
		}
		return strings.Join(append([]string{"THE DRAFT DOES NOT COME UP: " + why.Error()}, log...), "\n  | "), nil
	}
	return fmt.Sprintf("The draft was brought up with %d node(s), and no more: %v", nodes, why), nil
}
