package learn

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxText  = 256 << 10 // bytes; a bigger file is no config
	maxFiles = 50000
)

// tree is what a node directory holds, by slash paths relative to it.
type tree struct {
	files   map[string]file
	dirs    map[string]bool
	special []string // pipes, sockets, devices: nothing to copy
}

type file struct {
	sum  [sha256.Size]byte
	text string // "" unless it is a text that may be a config
	mode fs.FileMode
}

// readTree reads all of a directory.
func readTree(ctx context.Context, dir string) (*tree, error) {
	t := &tree{files: map[string]file{}, dirs: map[string]bool{}}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil {
			if errors.Is(err, fs.ErrNotExist) && name != dir {
				return nil // a server that runs removes files
			}
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil || rel == "." {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case e.IsDir():
			t.dirs[rel] = true
		case e.Type().IsRegular():
			f, err := readFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if t.files[rel] = f; len(t.files) > maxFiles {
				return fmt.Errorf("it has more than %d files: that is no node directory", maxFiles)
			}
			return err
		case e.Type()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) != 0:
			t.special = append(t.special, rel)
		}
		return nil
	})
	return t, err
}

func readFile(name string) (file, error) {
	f, err := os.Open(name)
	if err != nil {
		return file{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return file{}, err
	}
	h := sha256.New()
	var head bytes.Buffer
	if _, err := io.Copy(io.MultiWriter(h, &capped{&head}), f); err != nil {
		return file{}, err
	}
	out := file{mode: info.Mode().Perm(), sum: [sha256.Size]byte(h.Sum(nil))}
	if b := head.Bytes(); len(b) <= maxText && utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 {
		out.text = string(b)
	}
	return out, nil
}

// capped keeps one byte more than a config may have.
type capped struct{ *bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	_, err := c.Buffer.Write(p[:min(len(p), maxText+1-c.Len())])
	return len(p), err
}

// changes is what a server did to its directory.
type changes struct {
	exclude []string        // patterns of what it made: no node should begin with another's
	touched map[string]bool // files that the directory has and the server changed: nodes begin with the directory's
}

// changes compares a directory after a run with what it was before.
func (t *tree) changes(after *tree) changes {
	c := changes{touched: map[string]bool{}}
	var added []string
	for name, f := range after.files {
		switch was, had := t.files[name]; {
		case !had:
			added = append(added, name)
		case was.sum == f.sum:
		case ofOneRun(name):
			added = append(added, name) // left by an earlier run
		default:
			c.touched[name] = true
		}
	}
	added = append(added, after.special...)
	for dir := range after.dirs {
		if !t.dirs[dir] {
			added = append(added, dir)
		}
	}
	slices.Sort(added)
	for _, name := range added {
		if pattern := t.pattern(name); !covered(c.exclude, pattern) {
			c.exclude = append(c.exclude, pattern)
		}
	}
	return c
}

// pattern is what leaves a path out, and others of its kind with it.
func (t *tree) pattern(name string) string {
	parts := strings.Split(name, "/")
	for i := 1; i < len(parts); i++ {
		dir := strings.Join(parts[:i], "/")
		if !t.dirs[dir] {
			return dir // a directory that the server made
		}
		if t.empty(dir) {
			return dir + "/**" // one that is there for it to write into
		}
	}
	if ofOneRun(name) {
		return path.Join(path.Dir(name), "*"+path.Ext(name))
	}
	return name
}

// ofOneRun reports by its name whether a file is about a single run of a process.
func ofOneRun(name string) bool {
	return slices.Contains([]string{".pid", ".log", ".lock", ".sock"}, path.Ext(name))
}

// empty reports whether the source has no file in the directory.
func (t *tree) empty(dir string) bool {
	for name := range t.files {
		if strings.HasPrefix(name, dir+"/") {
			return false
		}
	}
	return true
}

func covered(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return p == name || strings.HasPrefix(name, strings.TrimSuffix(p, "**")) && strings.HasSuffix(p, "/**") || strings.HasPrefix(name, p+"/")
	})
}
