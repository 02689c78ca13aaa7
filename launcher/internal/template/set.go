package template

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	mainFile   = "template.toml"
	ownFolder  = "files"
	maxOwnFile = 1 << 20 // bytes; a template brings configs, not programs
)

// ErrUnknown is the error of a name that no template has.
var ErrUnknown = errors.New("unknown template")

// Set is the templates that -t finds by name.
type Set struct{ layers []fs.FS }

// NewSet makes a set of layers, each a directory that holds NAME/template.toml or NAME.toml. Where two have the same name,
// the earlier layer's template is it.
func NewSet(layers ...fs.FS) *Set { return &Set{layers: layers} }

// IsPath reports whether what was given to -t is a path of a template rather than a name.
func IsPath(arg string) bool {
	return strings.ContainsAny(arg, `/\`) || strings.HasSuffix(arg, ".toml") || arg == "." || arg == ".."
}

// Names are the names of all templates, sorted. A layer whose directory does not exist has none.
func (s *Set) Names() ([]string, error) {
	var names []string
	for _, layer := range s.layers {
		entries, err := fs.ReadDir(layer, ".")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list templates: %w", err)
		}
		for _, e := range entries {
			if name, ok := entryName(layer, e.Name()); ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func entryName(layer fs.FS, entry string) (string, bool) {
	if name, ok := strings.CutSuffix(entry, ".toml"); ok {
		return name, true
	}
	_, err := fs.Stat(layer, path.Join(entry, mainFile))
	return entry, err == nil
}

// Open reads the template of that name; the error wraps ErrUnknown when there is none.
func (s *Set) Open(name string) (*Template, error) {
	layer, file, err := s.Find(name)
	if err != nil {
		return nil, err
	}
	return Load(s.layers[layer], file)
}

// Find returns the layer, and in it the file, that has the template of that name; the error wraps ErrUnknown.
func (s *Set) Find(name string) (layer int, file string, err error) {
	if fs.ValidPath(name) && !strings.Contains(name, "/") {
		for i, layer := range s.layers {
			for _, file := range []string{path.Join(name, mainFile), name + ".toml"} {
				if _, err := fs.Stat(layer, file); err == nil {
					return i, file, nil
				}
			}
		}
	}
	names, err := s.Names()
	if err != nil {
		return 0, "", err
	}
	return 0, "", fmt.Errorf("%w %q; have %s, or give a path to a %s", ErrUnknown, name, oneOf(names), mainFile)
}

// All reads every template, sorted by name. The good ones are returned also when others are broken: the error joins
// what is wrong with those.
func (s *Set) All() ([]*Template, error) {
	names, err := s.Names()
	if err != nil {
		return nil, err
	}
	var all []*Template
	var errs []error
	for _, name := range names {
		t, err := s.Open(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, t)
	}
	return all, errors.Join(errs...)
}

// Load reads one template: file is a .toml, or a folder that holds a template.toml. A folder's files/ comes with it.
func Load(fsys fs.FS, file string) (*Template, error) {
	info, err := fs.Stat(fsys, file)
	if err != nil {
		return nil, fmt.Errorf("read template %q: %w", file, err)
	}
	if info.IsDir() {
		file = path.Join(file, mainFile)
	}
	src, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, fmt.Errorf("read template %q: %w", file, err)
	}
	name := strings.TrimSuffix(path.Base(file), ".toml")
	folder := path.Dir(file)
	if path.Base(file) == mainFile && folder != "." {
		name = path.Base(folder)
	}
	t, err := Parse(name, src)
	if err != nil {
		return nil, err
	}
	if path.Base(file) == mainFile {
		if t.Own, err = ownFiles(fsys, path.Join(folder, ownFolder)); err != nil {
			return nil, fmt.Errorf("template %q: %w", t.Name, err)
		}
	}
	return t, nil
}

// ownFiles reads a template's files/ folder. Modes are not taken from the file system, since a template that is built
// into a program has none: what begins with #! may be executed.
func ownFiles(fsys fs.FS, folder string) ([]File, error) {
	var files []File
	err := fs.WalkDir(fsys, folder, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(name, folder+"/")
		if !utf8.Valid(src) || len(src) > maxOwnFile {
			return fmt.Errorf("file %q is no text of at most %d bytes; let the program bring what is bigger", rel, maxOwnFile)
		}
		mode := "0644"
		if strings.HasPrefix(string(src), "#!") {
			mode = "0755"
		}
		files = append(files, File{Path: rel, Text: string(src), Mode: mode})
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return files, err
}
