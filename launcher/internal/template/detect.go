package template

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"onemore/launcher/internal/confedit"
)

const maxMatched = 4 << 20 // bytes of a file that detect rules look at

// ErrUndetected is the error of a directory that no template, or more than one, takes for its own.
var ErrUndetected = errors.New("can't tell what server this directory holds")

// FindIn gives the template whose detect rules hold for a node directory. None, or two of the same priority, are an
// error that says what was looked for and how to choose by hand.
func FindIn(templates []*Template, dir fs.FS) (*Template, error) {
	var matching []*Template
	var looked []string
	for _, t := range templates {
		if len(t.Detect.Files)+len(t.Detect.Match) == 0 {
			continue
		}
		looked = append(looked, fmt.Sprintf("%s (%s)", t.Name, t.Detect))
		ok, err := t.Detect.matchesDir(dir)
		if err != nil {
			return nil, fmt.Errorf("look whether this is %s: %w", t.Name, err)
		}
		if ok {
			matching = append(matching, t)
		}
	}
	slices.SortStableFunc(matching, func(a, b *Template) int { return b.Detect.Priority - a.Detect.Priority })
	switch {
	case len(matching) == 0:
		return nil, fmt.Errorf("%w; looked for %s; name the template with -t", ErrUndetected, oneOf(looked))
	case len(matching) > 1 && matching[0].Detect.Priority == matching[1].Detect.Priority:
		return nil, fmt.Errorf("%w: it may be %s or %s; name the template with -t", ErrUndetected, matching[0].Name, matching[1].Name)
	}
	return matching[0], nil
}

// String says what the rules look for.
func (d Detect) String() string {
	parts := slices.Clone(d.Files)
	for _, m := range d.Match {
		parts = append(parts, fmt.Sprintf("%s with %q", m.File, m.Regexp))
	}
	return strings.Join(parts, ", ")
}

func (d Detect) matchesDir(dir fs.FS) (bool, error) {
	for _, glob := range d.Files {
		found, err := fs.Glob(dir, glob)
		if err != nil || len(found) == 0 {
			return false, err
		}
	}
	for _, m := range d.Match {
		if ok, err := m.matchesDir(dir); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// matchesDir looks for a file of a directory that the rule holds for. Of those that a glob stands for, what can't be read does not count.
func (m Match) matchesDir(dir fs.FS) (bool, error) {
	re, err := regexp.Compile(m.Regexp)
	if err != nil {
		return false, err
	}
	if !strings.ContainsAny(m.File, `*?[`) {
		src, err := readLimited(dir, m.File)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil && re.Match(src), err
	}
	names, err := fs.Glob(dir, m.File)
	return slices.ContainsFunc(names, func(name string) bool {
		src, err := readLimited(dir, name)
		return err == nil && re.Match(src)
	}), err
}

func readLimited(dir fs.FS, file string) ([]byte, error) {
	info, err := fs.Stat(dir, file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	if info.Size() > maxMatched {
		return nil, fmt.Errorf("file %q has more than %d bytes", file, maxMatched)
	}
	return fs.ReadFile(dir, file)
}

// FormatOf is the format of a config file: that of an edit, a listener or a place of it, else by its name; "" if that is
// not known.
func (t *Template) FormatOf(file string) string {
	format, _ := confedit.FormatOf(file)
	take := func(of, given string) {
		if of == file && given != "" {
			format = given
		}
	}
	for _, l := range t.Listeners {
		take(l.File, l.Format)
	}
	for _, p := range t.Places {
		take(p.File, p.Format)
	}
	t.eachEdit(func(_ string, e *Edit) { take(e.File, e.Format) })
	return format
}

// MayLack reports whether a node directory may be without a file that is edited.
func (t *Template) MayLack(file string) bool {
	lacks := false
	t.eachEdit(func(_ string, e *Edit) { lacks = lacks || e.File == file && e.IfExists })
	return lacks
}
