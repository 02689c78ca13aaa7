package launcher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/template"
)

// statusFile is the cluster's status among the evidence of a failed run.
const statusFile = "status.json"

// RunOptions are those of Run that Up does not have.
type RunOptions struct {
	Named   bool   // Options.Cluster is the user's own choice; else the run gets a name that nobody else has
	Bundle  string // folder for the evidence when the command fails; "" makes one in the temporary folder
	Reuse   bool   // use a cluster that a run before left running, and leave it running
	Streams Streams
}

// Run brings up a cluster, runs a command with its addresses in the environment, and takes the cluster down. It returns
// the command's exit code, and the folder with the evidence when the command failed. The cluster hangs on this process:
// if it dies, the keeper takes the cluster down.
func Run(ctx context.Context, o Options, r RunOptions, args []string) (code int, bundle string, err error) {
	switch {
	case r.Reuse:
		if err := o.reusable(r.Named); err != nil {
			return 0, "", err
		}
	case !r.Named:
		o.Cluster = UniqueName("run")
	}
	unused, err := prepareBundle(r.Bundle)
	if err != nil {
		return 0, "", err
	}
	defer unused()
	c, own, err := upFor(ctx, o, r)
	if err != nil {
		bundle, berr := bundleOfFailure(err, r.Bundle)
		return 0, bundle, errors.Join(err, berr)
	}
	code, err = c.command(ctx, r.Streams, args)
	select {
	case <-own.gone: // never, if there is none
		err = errors.Join(err, fmt.Errorf("cluster %q ended while the command ran: its keeper was killed, or somebody took it down", c.name))
	default:
	}
	if code != 0 || err != nil {
		b, berr := c.bundle(context.WithoutCancel(ctx), r.Bundle)
		bundle, err = b, errors.Join(err, berr)
	}
	if !r.Reuse {
		if derr := c.Down(context.WithoutCancel(ctx), false); derr != nil && !errors.Is(derr, ErrNoCluster) {
			err = errors.Join(err, derr)
		}
	}
	own.release()
	return code, bundle, err
}

// upFor is Up with this process as the owner from the first moment; a cluster that is to be reused has none.
func upFor(ctx context.Context, o Options, r RunOptions) (*Cluster, ownership, error) {
	if r.Reuse {
		c, err := warm(ctx, o)
		return c, ownership{release: func() {}}, err
	}
	c, _, own, err := bring(ctx, o, true)
	return c, own, err
}

// warm is Up for a cluster that a run before may have left. One that was made from what has changed since is made anew.
func warm(ctx context.Context, o Options) (*Cluster, error) {
	if c, err := Open(o.Cluster, o); err == nil {
		if why := c.spoiled(ctx, o); why != "" {
			c.progress(Event{Phase: "making anew", Text: why})
			if err := c.Down(ctx, false); err != nil && !errors.Is(err, ErrNoCluster) {
				return nil, err
			}
		}
	}
	c, _, err := Up(ctx, o)
	return c, err
}

// spoiled says why a cluster that a run before has left is not what one that is made anew would be; "" if it is, if somebody is at
// it, or if it is no such cluster.
func (c *Cluster) spoiled(ctx context.Context, o Options) string {
	var made origin
	rec, err := c.record()
	if err != nil || json.Unmarshal(rec.Options, &made) != nil || made.Stamp == "" {
		return ""
	}
	st, err := c.Status(ctx)
	switch {
	case err != nil || st.Busy != "" || !rec.Formed:
		return ""
	case made.Stamp != o.stamp:
		return "as what it was made from has changed"
	case st.State != control.Running || len(st.Faults) > 0 || o.Count > 0 && len(st.Nodes) != o.Count:
		return "as the run before has changed it"
	}
	return ""
}

// reusable makes runs that want the same cluster the same: paths become absolute, the name, unless it is the user's own, is
// made of all options, and the stamp is of all that they name.
func (o *Options) reusable(named bool) error {
	paths := []*string{&o.Source, &o.Bin}
	if template.IsPath(o.Template) {
		paths = append(paths, &o.Template)
	}
	nodes := map[int]NodeOptions{}
	for _, i := range slices.Sorted(maps.Keys(o.Nodes)) {
		own := o.Nodes[i]
		if err := errors.Join(makeAbsolute(&own.Source), makeAbsolute(&own.Bin)); err != nil {
			return err
		}
		nodes[i] = own
		paths = append(paths, &own.Source, &own.Bin)
	}
	o.Nodes = nodes
	sum := sha256.New()
	for _, p := range paths {
		if err := makeAbsolute(p); err != nil {
			return err
		}
		if *p == "" {
			continue
		}
		stamp, err := nodedir.Stamp(*p)
		fmt.Fprintln(sum, stamp, err) // Up says better what is wrong with it
	}
	o.stamp = hex.EncodeToString(sum.Sum(nil))
	if !named {
		same := *o
		same.Progress, same.Cluster, same.Timeout = nil, "", 0
		b, err := json.Marshal(same)
		if err != nil {
			return err
		}
		o.Cluster = "reuse-" + hash(b)
	}
	return nil
}

func makeAbsolute(path *string) (err error) {
	*path, err = absolute(*path)
	return err
}

// command runs args with the cluster's environment, our streams, and our signals passed on.
func (c *Cluster) command(ctx context.Context, s Streams, args []string) (int, error) {
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

// bundleMark is a file in a folder of evidence: what has our names there is ours.
const bundleMark = ".onemore-bundle"

// prepareBundle makes the folder that was named for the evidence and sees that files can be made in it, and whose those are
// that are there: when the command has failed it is too late to learn that. unused removes the folder again, if it was made
// and is empty.
func prepareBundle(dir string) (unused func(), err error) {
	unused = func() {}
	if dir == "" {
		return unused, nil
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		unused = func() { os.Remove(dir) }
	}
	err = os.MkdirAll(dir, 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(dir, ".onemore-"); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return nil, &InputError{Err: fmt.Errorf("the folder of --bundle: %w", err), Hint: "name a folder that you may write"}
	}
	if _, err := os.Lstat(filepath.Join(dir, bundleMark)); errors.Is(err, fs.ErrNotExist) {
		names, err := evidence(dir)
		if err == nil && len(names) > 0 {
			err = fmt.Errorf("%s would be overwritten, and is not of a run", filepath.Join(dir, names[0]))
		}
		if err != nil {
			return nil, &InputError{Err: fmt.Errorf("the folder of --bundle: %w", err), Hint: "name a folder of its own"}
		}
	}
	return unused, nil
}

// bundle keeps what helps to find out why a run failed: every node's log, the events and the status.
func (c *Cluster) bundle(ctx context.Context, dir string) (string, error) {
	var err error
	if dir == "" {
		dir, err = os.MkdirTemp("", "onemore-"+c.name+"-")
	} else {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return "", fmt.Errorf("make the folder for the evidence: %w", err)
	}
	st, err := c.Status(ctx)
	if err != nil {
		return dir, err
	}
	b, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return dir, err
	}
	if err := removeBundle(dir); err != nil {
		return dir, err
	}
	errs := []error{os.WriteFile(filepath.Join(dir, bundleMark), nil, 0o644), os.WriteFile(filepath.Join(dir, statusFile), b, 0o644)}
	for _, n := range st.Nodes {
		for _, suffix := range []string{"", ".1"} {
			errs = append(errs, copyIfThere(n.Log+suffix, filepath.Join(dir, fmt.Sprintf("node%d.log%s", n.Index, suffix))))
		}
	}
	for _, name := range []string{cluster.EventsFile, cluster.LogFile} {
		errs = append(errs, copyIfThere(filepath.Join(c.dir, name), filepath.Join(dir, name)))
	}
	return dir, errors.Join(errs...)
}

// bundleOfFailure keeps, in the folder that was named for the evidence, the logs of nodes that did not come up.
func bundleOfFailure(err error, dir string) (bundle string, _ error) {
	fail, ok := errors.AsType[*Failure](err)
	if !ok || fail.Logs == "" || dir == "" {
		return "", nil
	}
	if fi, err := os.Stat(fail.Logs); err == nil && !fi.IsDir() {
		return "", nil // of a node of a cluster that stays; the error names it
	}
	entries, err := os.ReadDir(fail.Logs)
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), removeBundle(dir)); err != nil {
		return "", err
	}
	errs := []error{os.WriteFile(filepath.Join(dir, bundleMark), nil, 0o644)}
	for _, e := range entries {
		if nodeLogs().MatchString(e.Name()) {
			errs = append(errs, copyIfThere(filepath.Join(fail.Logs, e.Name()), filepath.Join(dir, e.Name())))
		}
	}
	return dir, errors.Join(errs...)
}

// nodeLogs are the names that bundle gives to the nodes' logs.
var nodeLogs = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^node[0-9]+\.log(\.1)?$`) })

// removeBundle removes the evidence of an earlier run, which may have had more nodes, and nothing else.
func removeBundle(dir string) error {
	names, err := evidence(dir)
	errs := []error{err}
	for _, name := range names {
		errs = append(errs, os.Remove(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

// evidence lists what bundle writes, as far as it is there.
func evidence(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		switch name := e.Name(); {
		case name == statusFile, name == cluster.EventsFile, name == cluster.LogFile, nodeLogs().MatchString(name):
			out = append(out, name)
		}
	}
	return out, err
}

func copyIfThere(from, to string) error {
	b, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
