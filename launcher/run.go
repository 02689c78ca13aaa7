package launcher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/template"
)

// RunOptions are those of Run that Up does not have.
type RunOptions struct {
	Named   bool   // Options.Cluster was chosen by the user; else the run gets a name that no other cluster has
	Bundle  string // folder for the logs and the status when the command fails; "" makes one in the temporary folder
	Reuse   bool   // use the cluster that an earlier run left running, and leave it running
	Streams Streams
	Formed  func(*Cluster) // called before the command is started; may be nil
}

// Run brings up a cluster, runs a command with its addresses in the environment, and takes the cluster down, unless it was there
// before. It returns the command's exit code, and the folder with the logs and the status when the command failed. This process
// owns the cluster that it made: if it dies, the keeper takes the cluster down.
func Run(ctx context.Context, o Options, r RunOptions, args []string) (code int, bundle string, err error) {
	call := upCall{own: !r.Reuse}
	switch {
	case r.Reuse:
		o, call.stamp, err = reuseOptions(o, r.Named)
	case !r.Named:
		o.Cluster = UniqueName("run")
	}
	if err != nil {
		return 0, "", err
	}
	removeIfUnused, err := prepareBundle(r.Bundle)
	if err != nil {
		return 0, "", err
	}
	defer removeIfUnused()
	c, own, err := upForRun(ctx, o, call)
	if err != nil {
		bundle, berr := bundleFailedUp(err, r.Bundle)
		return 0, bundle, errors.Join(err, berr)
	}
	if r.Formed != nil {
		r.Formed(c)
	}
	code, err = runCommand(ctx, c, r.Streams, args)
	if own.lost() {
		err = errors.Join(err, fmt.Errorf("cluster %q ended while the command ran: its keeper was killed, or somebody took it down", c.name))
	}
	if code != 0 || err != nil {
		b, berr := bundleCluster(context.WithoutCancel(ctx), c, r.Bundle)
		bundle, err = b, errors.Join(err, berr)
	}
	if own == nil { // it was there before, or is to be reused
		return code, bundle, err
	}
	if derr := c.Down(context.WithoutCancel(ctx), false); derr != nil && !errors.Is(derr, ErrNoCluster) {
		err = errors.Join(err, derr)
	}
	own.Release()
	return code, bundle, err
}

// upForRun brings up the cluster of a run. This process owns it from the first moment; one that is to be reused has no owner.
func upForRun(ctx context.Context, o Options, call upCall) (*Cluster, *Ownership, error) {
	if !call.own {
		if err := downOutdated(ctx, o, call.stamp); err != nil {
			return nil, nil, err
		}
	}
	c, _, own, err := up(ctx, o, call)
	return c, own, err
}

// runCommand runs args with the cluster's addresses in the environment and returns the exit code.
func runCommand(ctx context.Context, c *Cluster, s Streams, args []string) (int, error) {
	p, err := c.Plan()
	if err != nil {
		return 0, err
	}
	env := os.Environ()
	for _, v := range Environment(p) {
		env = append(env, v.Name+"="+v.Value)
	}
	return foreground(ctx, proc.Spec{Args: args, Env: env, Stdin: s.In, Stdout: s.Out, Stderr: s.Err})
}

// reuseOptions are the options of a `run --reuse`: runs that want the same cluster get the same ones. Unless the user named the
// cluster, its name depends on all of them. stamp changes with the files that they name.
func reuseOptions(o Options, named bool) (_ Options, stamp string, err error) {
	if o, err = o.absolutePaths(); err != nil {
		return o, "", err
	}
	stamp = inputStamp(o)
	if !named {
		o.Cluster, err = reuseName(o)
	}
	return o, stamp, err
}

// downOutdated takes down the cluster that an earlier `run --reuse` left, if a new one would not be the same.
func downOutdated(ctx context.Context, o Options, stamp string) error {
	c, err := Open(o.Cluster, o)
	if err != nil {
		return nil // there is none, or `up` says what is wrong
	}
	why := outdated(ctx, c, o.Count, stamp)
	if why == "" {
		return nil
	}
	if o.Progress != nil {
		o.Progress(Event{Phase: "making anew", Text: why})
	}
	if err := c.Down(ctx, false); err != nil && !errors.Is(err, ErrNoCluster) {
		return err
	}
	return nil
}

// reuseName is a name for the cluster that depends on all options that say what it is.
func reuseName(o Options) (string, error) {
	o.Cluster, o.Timeout = "", 0
	b, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return "reuse-" + hex.EncodeToString(sum[:6]), nil
}

// inputStamp changes with every file and folder that the options name. Paths must be absolute.
func inputStamp(o Options) string {
	paths := []string{o.Source, o.Bin}
	if template.IsPath(o.Template) {
		paths = append(paths, o.Template)
	}
	for _, i := range slices.Sorted(maps.Keys(o.Nodes)) {
		paths = append(paths, o.Nodes[i].Source, o.Nodes[i].Bin)
	}
	sum := sha256.New()
	for _, p := range paths {
		if p == "" {
			continue
		}
		stamp, err := nodedir.Stamp(p)
		fmt.Fprintln(sum, stamp, err) // Up reports what is wrong with it
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// outdated says why the cluster of an earlier run is not what a new one would be; "" if it is, if another process is changing
// it, or if no `run --reuse` made it. count is the number of nodes that is wanted, 0 for any.
func outdated(ctx context.Context, c *Cluster, count int, stamp string) string {
	rec, err := c.record()
	if err != nil {
		return ""
	}
	from, err := readOrigin(rec)
	if err != nil || from.Stamp == "" {
		return ""
	}
	st, err := c.Status(ctx)
	switch {
	case err != nil || st.Busy != "" || !rec.Formed:
		return ""
	case from.Stamp != stamp:
		return "as what it was made from has changed"
	case st.State != control.Running || len(st.Faults) > 0 || count > 0 && len(st.Nodes) != count:
		return "as the run before has changed it"
	}
	return ""
}
