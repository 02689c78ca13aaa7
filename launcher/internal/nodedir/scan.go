package nodedir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// mostProblems bounds how many problems of a source one error lists.
const mostProblems = 10

// entry is one thing of a source that is going to be in the copy.
type entry struct {
	rel    string // slash-separated
	mode   fs.FileMode
	mtime  time.Time
	size   int64
	blocks int64  // of 512 bytes: fewer than size needs means holes
	target string // of a symbolic link, as it will be in the copy
}

// tree is a source as it was found, parents before children.
type tree struct {
	root    string // absolute, without symbolic links
	entries []entry
}

// CheckSource reports whether the directory can be copied: it is one, can be read
// in full, and holds nothing that a copy can't have (see Copy). What exclude
// covers is not looked at. All problems are in the error, up to ten.
func CheckSource(ctx context.Context, dir string, exclude ...string) error {
	_, err := scan(ctx, CopySpec{From: dir, Exclude: exclude})
	return err
}

// scan reads the whole source before anything is made, so that what can't be
// copied is refused as a whole.
func scan(ctx context.Context, spec CopySpec) (*tree, error) {
	exclude, err := parsePatterns(spec.Exclude)
	if err != nil {
		return nil, fmt.Errorf("copy %q: exclude: %w", spec.From, err)
	}
	only, err := parsePatterns(spec.Only)
	if err != nil {
		return nil, fmt.Errorf("copy %q: only: %w", spec.From, err)
	}
	root, err := sourceRoot(spec.From)
	if err != nil {
		return nil, err
	}
	s := &scanner{spec: spec, exclude: exclude, only: only, tree: &tree{root: root}}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return s.visit(path, d, err)
	})
	if err != nil && !errors.Is(err, errTooMany) {
		return nil, fmt.Errorf("read source %q: %w", spec.From, err)
	}
	if len(s.problems) > 0 {
		return nil, fmt.Errorf("source %q can't be copied: %w", spec.From, errors.Join(s.problems...))
	}
	if len(only) > 0 {
		s.tree.prune(only)
	}
	return s.tree, nil
}

// prune takes out the directories that are there only because nothing in them was wanted.
func (t *tree) prune(only patterns) {
	wanted := map[string]bool{".": true}
	for _, e := range t.entries {
		if !e.mode.IsDir() || only.cover(e.rel) {
			for dir := e.rel; !wanted[dir]; dir = path.Dir(dir) {
				wanted[dir] = true
			}
		}
	}
	t.entries = slices.DeleteFunc(t.entries, func(e entry) bool { return !wanted[e.rel] })
}

// sourceRoot resolves the source's path, with errors for people.
func sourceRoot(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("source directory is not given")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("resolve source %q: %w", dir, err)
	}
	root, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", fmt.Errorf("source %q: %w", dir, bare(err))
	}
	info, err := os.Stat(root)
	if err != nil {
		return "", fmt.Errorf("source %q: %w", dir, bare(err))
	}
	if !info.IsDir() {
		return "", fmt.Errorf("source %q is %s, not a directory", dir, kind(info.Mode()))
	}
	if err := unix.Access(root, unix.R_OK|unix.X_OK); err != nil {
		return "", fmt.Errorf("source %q can't be read: %w", dir, err)
	}
	return root, nil
}

// kind names a file type for people.
func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m.IsRegular():
		return "a file"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeDevice != 0:
		return "a device"
	default:
		return "a special file"
	}
}

var errTooMany = errors.New("too many problems")

type scanner struct {
	spec     CopySpec
	exclude  patterns
	only     patterns
	tree     *tree
	problems []error
}

func (s *scanner) problem(rel, format string, args ...any) error {
	s.problems = append(s.problems, fmt.Errorf("%s: "+format, append([]any{rel}, args...)...))
	if len(s.problems) >= mostProblems {
		return errTooMany
	}
	return nil
}

func (s *scanner) visit(path string, d fs.DirEntry, err error) error {
	rel := s.relative(path)
	skip := error(nil)
	if d != nil && d.IsDir() {
		skip = fs.SkipDir
	}
	if rel != "." && (s.exclude.match(rel) || rel == markName) {
		return skip
	}
	if err != nil {
		return cmp.Or(s.problem(rel, "%w", bare(err)), skip)
	}
	if rel != "." && !d.IsDir() && len(s.only) > 0 && !s.only.cover(rel) {
		return nil
	}
	info, err := d.Info()
	if err != nil {
		return s.problem(rel, "%w", bare(err))
	}
	e := entry{rel: rel, mode: info.Mode(), mtime: info.ModTime(), size: info.Size(), blocks: blocks(info)}
	switch {
	case e.mode.IsDir(), e.mode.IsRegular():
		if err := unix.Access(path, access(e.mode)); err != nil {
			return cmp.Or(s.problem(rel, "can't be read: %w", err), skip)
		}
	case e.mode&fs.ModeSymlink != 0 && s.spec.Image:
		if e.target, err = os.Readlink(path); err != nil {
			return s.problem(rel, "%w", bare(err))
		}
	case e.mode&fs.ModeSymlink != 0:
		if e.target, err = s.target(path); err != nil {
			return s.problem(rel, "%w", err)
		}
	case s.spec.Image:
		return nil
	default:
		return s.problem(rel, "is %s: exclude it (copy.exclude of the template), or copy from a directory without it", kind(e.mode))
	}
	s.tree.entries = append(s.tree.entries, e)
	return nil
}

func access(m fs.FileMode) uint32 {
	if m.IsDir() {
		return unix.R_OK | unix.X_OK
	}
	return unix.R_OK
}

func (s *scanner) relative(path string) string {
	if path == s.tree.root {
		return "."
	}
	return filepath.ToSlash(path[len(strings.TrimSuffix(s.tree.root, "/"))+1:])
}

// target returns what a symbolic link of the source must hold in the copy: the
// same, or, if it is absolute, the same place in the copy. A link out of the
// source is an error: the copy would share what is behind it with the source.
func (s *scanner) target(path string) (string, error) {
	to, err := os.Readlink(path)
	if err != nil {
		return "", bare(err)
	}
	root := s.tree.root
	place := to
	if !filepath.IsAbs(to) {
		place = filepath.Join(filepath.Dir(path), to)
	}
	place = s.resolved(place)
	real, err := filepath.EvalSymlinks(path)
	if err == nil && !within(root, real) || err != nil && !within(root, place) {
		return "", fmt.Errorf("links out of the source, to %q: exclude it (copy.exclude of the template), or copy from a directory without it", to)
	}
	if !filepath.IsAbs(to) {
		// Out and in again by the source's name would lead to the source.
		if !filepath.IsLocal(filepath.Join(filepath.Dir(s.relative(path)), to)) {
			return "", fmt.Errorf("reaches %q by a way out of the source: exclude it (copy.exclude of the template), or copy from a directory without it", to)
		}
		return to, nil
	}
	if !within(root, place) {
		place = real
	}
	copied, err := filepath.Abs(s.spec.To)
	if err != nil {
		return "", err
	}
	return filepath.Join(copied, place[len(root):]), nil
}

// resolved rewrites an absolute path that was spelled by way of a symbolic link
// to the source, such as the one the caller gave.
func (s *scanner) resolved(place string) string {
	given, err := filepath.Abs(s.spec.From)
	if err == nil && within(given, place) {
		return filepath.Join(s.tree.root, place[len(given):])
	}
	return filepath.Clean(place)
}

// within reports, by the text of clean paths, whether the path is dir or below it.
func within(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// bare strips the path from an error whose message names it already.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
