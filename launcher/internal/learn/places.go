package learn

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"onemore/launcher/internal/confedit"
)

// Place is a file or directory outside of the node directory that the server wrote to, and that one of its configs names.
type Place struct {
	Name string `json:"name"`
	File string `json:"file"`
	Key  string `json:"key"`
	Was  string `json:"was"`  // what the source has
	Path string `json:"path"` // where it is in a node
	Dir  bool   `json:"dir,omitempty"`

	format string
	line   int
}

// most is how many entries of a place are looked at.
const most = 2000

// stamp is what changes when a file is written to.
type stamp struct {
	mode fs.FileMode
	size int64
	time time.Time
}

// outside finds the values of configs that are absolute paths out of the source.
func (l *learner) outside() []Place {
	var out []Place
	for _, name := range slices.Sorted(maps.Keys(l.tree.files)) {
		f := l.tree.files[name]
		format, known := confedit.FormatOf(name)
		if f.text == "" || f.mode&0o111 != 0 || !known {
			continue
		}
		list, err := confedit.List(format, []byte(f.text))
		if err != nil {
			continue
		}
		for _, e := range list {
			if filepath.IsAbs(e.Value) && !shared(e.Value) && !l.inSource(e.Value) {
				out = append(out, Place{File: name, Key: e.Key, Was: filepath.Clean(e.Value), format: format, line: e.Line})
			}
		}
	}
	return out
}

// shared reports whether a path is one into which everybody writes, or no file at all.
func shared(name string) bool {
	name = filepath.Clean(name)
	for _, top := range []string{"/dev", "/proc", "/sys"} {
		if name == top || strings.HasPrefix(name, top+"/") {
			return true
		}
	}
	home, _ := os.UserHomeDir()
	return slices.Contains([]string{"/", "/tmp", "/var", "/var/tmp", "/var/log", "/var/run", "/var/lib", "/run", "/home", home, filepath.Clean(os.TempDir())}, name)
}

func (l *learner) inSource(name string) bool {
	return slices.ContainsFunc(append([]string{l.self}, l.aliases...), func(dir string) bool {
		rel, err := filepath.Rel(dir, name)
		return err == nil && filepath.IsLocal(rel)
	})
}

// stamps looks at a path and what is below it.
func stamps(name string) map[string]stamp {
	found := map[string]stamp{}
	err := filepath.WalkDir(name, func(path string, e fs.DirEntry, err error) error {
		if len(found) >= most {
			return fs.SkipAll
		}
		if err != nil {
			return nil // it can't be read, or is gone meanwhile
		}
		if info, err := e.Info(); err == nil {
			found[path] = stamp{info.Mode(), info.Size(), info.ModTime()}
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return found
}

// written are those places in which something is new or other than it was before, while the node runs.
func written(candidates []Place, before []map[string]stamp) []Place {
	var out []Place
	taken := map[string]bool{}
	for i, p := range candidates {
		now := stamps(p.Was)
		if len(now) == 0 || maps.Equal(now, before[i]) {
			continue
		}
		p.Name = unique(placeName(p.Key), taken)
		p.Path = unique(filepath.Base(p.Was), taken)
		p.Dir = now[p.Was].mode.IsDir()
		out = append(out, p)
	}
	return out
}

// placeName makes a name of the last part of a key.
func placeName(key string) string {
	parts := nameParts().FindAllString(key, -1)
	if len(parts) == 0 {
		return "place"
	}
	return strings.ToLower(strings.Join(parts[max(0, len(parts)-2):], "_"))
}

// move puts the places into the node's directory.
func (p *occurrences) move(places []Place) {
	for _, one := range places {
		key := keyOccurrence{key: one.Key, value: token{}.mark() + "/" + one.Path, line: one.line, place: one.Name}
		i := slices.IndexFunc(p.files, func(f fileOccurrence) bool { return f.path == one.File && f.format == one.format })
		if i < 0 {
			p.files = append(p.files, fileOccurrence{path: one.File, mode: 0o644, format: one.format})
			i = len(p.files) - 1
		}
		p.files[i].keys = slices.DeleteFunc(p.files[i].keys, func(k keyOccurrence) bool { return k.key == one.Key })
		p.files[i].keys = append(p.files[i].keys, key)
	}
}

// makeDirs makes those of the places that are directories in a copy.
func makeDirs(dir string, places []Place) error {
	var errs []error
	for _, p := range places {
		if p.Dir {
			errs = append(errs, os.MkdirAll(filepath.Join(dir, p.Path), 0o755))
		}
	}
	return errors.Join(errs...)
}

// remark says what was written outside, and that it is still there.
func (p Place) remark() string {
	return fmt.Sprintf("The server wrote to %s, outside of its directory (%s, line %d: %s): nodes have %s in theirs instead. What the watched node made there is left.",
		p.Was, p.File, p.line, p.Key, p.Path)
}

// copied writes what of a source becomes a node.
func (w *writer) copied(d *Draft) {
	var dirs []string
	for _, p := range d.Places {
		if p.Dir {
			dirs = append(dirs, p.Path)
		}
	}
	if len(d.Wrote)+len(dirs) == 0 {
		return
	}
	w.line("\n[copy]")
	if len(d.Wrote) > 0 {
		w.line("# What the server made while it was watched: every node begins without it.\nexclude = [%s]", list(d.Wrote))
	}
	if len(dirs) > 0 {
		w.line("dirs = [%s]", list(dirs))
	}
}

// places writes what the server has outside of its directory, and each node in its own.
func (w *writer) places(places []Place) {
	for _, p := range places {
		w.line("\n[places.%s]\nfile = %s\nformat = %s\nkey = %s\npath = %s", p.Name, str(p.File), str(p.format), str(p.Key), str("{{.Dir}}/"+p.Path))
	}
}
