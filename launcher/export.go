package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"onemore/launcher/internal/export"
	"onemore/launcher/internal/plan"
)

// Export writes what runs a cluster under another supervisor into the folder dir, which must be absent or empty, and returns the files,
// as slash paths below it. The cluster is the one that is there, else the one that an `up` with these options would make. The only
// engine is "systemd". When it fails, nothing is left.
func Export(ctx context.Context, o Options, engine, dir string) ([]string, error) {
	if engine != "systemd" {
		return nil, &InputError{Err: fmt.Errorf("unknown engine %q", engine), Hint: "use systemd"}
	}
	if err := checkVacant(dir); err != nil {
		return nil, err
	}
	c, err := locate(cmp.Or(o.Cluster, defaultCluster), o)
	if err != nil {
		return nil, err
	}
	o.Cluster = c.name
	p, err := c.exportedPlan(ctx, o, export.SystemdDir(c.name))
	if err != nil {
		return nil, err
	}
	files, err := export.Systemd(p)
	if bad, ok := errors.AsType[*export.Error](err); ok {
		return nil, &InputError{Err: fmt.Errorf("cluster %q of template %q can't be exported:\n%w", c.name, p.Template, bad),
			Hint: "docs/export.md says what can be; programs must be where every user of a host has them, such as /usr/local/bin"}
	}
	if err != nil {
		return nil, err
	}
	return writeExport(dir, files)
}

// exportedPlan is the plan of a cluster whose folder is dir, on a host of which nothing is known.
func (c *Cluster) exportedPlan(ctx context.Context, o Options, dir string) (*plan.Plan, error) {
	if o.Release != "" {
		return nil, &InputError{Err: fmt.Errorf("%s: a release is in the cache of its user, where no service finds it", o.label("release")),
			Hint: "install that version, and name its program with --bin"}
	}
	on := target{dir: dir}
	var err error
	if on.record, err = c.record(); err != nil && !errors.Is(err, ErrNoCluster) {
		return nil, err
	}
	if o, err = o.absolutePaths(); err != nil {
		return nil, err
	}
	t, _, err := resolveTemplate(ctx, o, on)
	if err != nil {
		return nil, err
	}
	var po plan.Options
	if formed := on.formed(); formed != nil {
		po, err = optionsOf(formed, o, dir)
	} else if po, err = planOptions(o, target{dir: dir}); err == nil {
		po.Nodes, err = nodesToMake(t, o, target{dir: dir})
	}
	if err == nil {
		err = cmp.Or(o.checkSpread(), o.checkBin(t), checkInputs(ctx, t, &po, o))
	}
	if err != nil {
		return nil, err
	}
	var host plan.Host
	if po.Base.Auto {
		if host, _, err = hostView(); err != nil {
			return nil, err
		}
	}
	p, err := plan.Make(t, po, host)
	if err != nil {
		return nil, inputError(err)
	}
	return p, nil
}

// optionsOf are those by which a formed cluster would be made again, as it is, in another folder. o must not differ from them.
func optionsOf(formed *plan.Plan, o Options, dir string) (plan.Options, error) {
	if err := o.compatible(formed, nil); err != nil {
		return plan.Options{}, err
	}
	if o.Count > 0 && o.Count != len(formed.Nodes) {
		return plan.Options{}, &InputError{Err: fmt.Errorf("cluster %q is there, with %d nodes, not %d", formed.Cluster, len(formed.Nodes), o.Count),
			Hint: "leave the number out, or name another cluster with -c"}
	}
	po := formed.Options
	po.Dir, po.Nodes, po.Roles = dir, indices(formed), rolesOf(formed)
	po.Offset, po.Base = formed.Offset, plan.Base{Shift: formed.Shift}
	return po, nil
}

// checkVacant refuses a folder that has something in it.
func checkVacant(dir string) error {
	list, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &InputError{Err: err, Hint: "name another folder with -o"}
	case len(list) > 0:
		return &InputError{Err: fmt.Errorf("%s is not empty", dir), Hint: "name another folder with -o, or remove it first"}
	}
	return nil
}

// writeExport writes all files, or none: into a folder beside dir, which then becomes dir.
func writeExport(dir string, files []export.File) (names []string, err error) {
	dir, err = absolute(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, &InputError{Err: err}
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }() // it is gone where all went well
	for _, f := range files {
		path := filepath.Join(temp, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, []byte(f.Text), fs.FileMode(f.Mode)); err != nil {
			return nil, err
		}
		names = append(names, f.Path)
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return nil, err
	}
	if err := os.Rename(temp, dir); err != nil {
		return nil, err
	}
	return names, nil
}
