package nodedir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// workers is how many files are copied at the same time: more than two made it
// slower, since the copying is done inside the kernel.
const workers = 2

// chunk bounds what is copied between two looks at the context, in bytes.
const chunk = 64 << 20

// CopySpec says what to copy. Patterns are slash-separated globs relative to
// From; "**" stands for any number of directories, at the end for all that is
// in a directory but not the directory itself. A pattern that matches a
// directory covers all of it.
type CopySpec struct {
	From, To string
	// Exclude is what the copy does not get.
	Exclude []string
	// Share is what the copy gets as hard links where the filesystem can, and as
	// copies elsewhere: only for what nobody writes to, since a write would be
	// seen in the source.
	Share []string
	// Only, if given, is what the copy gets of it: all else stays out, as if excluded.
	Only []string
	// Over lets To hold something already: what is copied takes the place of what
	// is there under the same name, all else stays.
	Over bool
	// Image copies what a server has made of a directory, for the same place: links
	// are kept as they stand wherever they lead, and sockets, named pipes and
	// devices, which mean nothing without their process, are left out.
	Image bool
}

// Stats counts what was made.
type Stats struct {
	Dirs, Files, Links int
	// Shared is how many of the files are hard links.
	Shared int
	// Reflinked is how many share their blocks with the source until written.
	Reflinked int
	// Bytes is the content of all files, holes and shared ones included.
	Bytes int64
}

// Copy copies the tree From to To, which must be missing, or hold nothing but a
// mark; its parent must exist. Modes (without setuid and setgid), times of
// modification, holes and symbolic links inside the tree are kept; absolute
// links into the source lead into the copy instead. The source is not written to.
//
// Refused before anything is made are: a source that can't be read in full, and
// links out of it, sockets, named pipes and devices that Exclude doesn't cover.
// After any later error, such as a full disk, the caller removes To.
func Copy(ctx context.Context, spec CopySpec) (Stats, error) {
	share, err := parsePatterns(spec.Share)
	if err != nil {
		return Stats{}, fmt.Errorf("copy %q: share: %w", spec.From, err)
	}
	t, err := scan(ctx, spec)
	if err != nil {
		return Stats{}, err
	}
	to, err := destination(t.root, spec.To, spec.Over)
	if err != nil {
		return Stats{}, err
	}
	c := &copier{from: t.root, to: to, share: share, over: spec.Over, image: spec.Image}
	if err := c.run(ctx, t.entries); err != nil {
		return Stats{}, fmt.Errorf("copy %q to %q: %w", spec.From, spec.To, err)
	}
	return c.stats(), nil
}

// destination checks that a copy may be made at the path, and resolves it.
func destination(root, to string, over bool) (string, error) {
	abs, err := filepath.Abs(to)
	if err != nil {
		return "", fmt.Errorf("resolve %q: %w", to, err)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", fmt.Errorf("copy to %q: %w", to, err)
	}
	real := filepath.Join(parent, filepath.Base(abs))
	if within(root, real) || within(real, root) {
		return "", fmt.Errorf("copy to %q: source and copy lie within each other", to)
	}
	entries, err := os.ReadDir(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return abs, nil
	}
	if err != nil {
		return "", fmt.Errorf("copy to %q: %w", to, bare(err))
	}
	for _, e := range entries {
		if e.Name() != markName && !over {
			return "", fmt.Errorf("copy to %q: %w: it holds %q", to, fs.ErrExist, e.Name())
		}
	}
	return abs, nil
}

// copier does the work of one Copy.
type copier struct {
	from, to string
	share    patterns
	over     bool
	image    bool

	// Set at the first refusal by the filesystem: all others would be refused too.
	noLink, noClone atomic.Bool

	dirs, files, links, shared, reflinked, bytes atomic.Int64
}

func (c *copier) stats() Stats {
	return Stats{
		Dirs: int(c.dirs.Load()), Files: int(c.files.Load()), Links: int(c.links.Load()),
		Shared: int(c.shared.Load()), Reflinked: int(c.reflinked.Load()), Bytes: c.bytes.Load(),
	}
}

// run makes directories first, then the files, and last the directories' own
// modes and times, which making files in them would change.
func (c *copier) run(ctx context.Context, entries []entry) error {
	for _, e := range entries {
		if !e.mode.IsDir() {
			continue
		}
		c.dirs.Add(1)
		if err := c.clear(e); err != nil {
			return err
		}
		if err := os.Mkdir(c.dst(e), 0o700); err != nil && (e.rel != "." && !c.over || !errors.Is(err, fs.ErrExist)) {
			return err
		}
	}
	if err := c.fill(ctx, entries); err != nil {
		return err
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if e := entries[i]; e.mode.IsDir() {
			if err := c.finish(e, e.mode.Perm()|e.mode&fs.ModeSticky); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *copier) dst(e entry) string { return filepath.Join(c.to, filepath.FromSlash(e.rel)) }
func (c *copier) src(e entry) string { return filepath.Join(c.from, filepath.FromSlash(e.rel)) }

// fill makes all files and links, a few at a time, until the first error.
func (c *copier) fill(ctx context.Context, entries []entry) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(entries) {
					return
				}
				if err := c.place(ctx, entries[i]); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (c *copier) place(ctx context.Context, e entry) error {
	if e.mode.IsDir() {
		return nil
	}
	if err := c.clear(e); err != nil {
		return fmt.Errorf("%s: %w", e.rel, err)
	}
	switch {
	case e.mode&fs.ModeSymlink != 0:
		c.links.Add(1)
		return os.Symlink(e.target, c.dst(e))
	}
	c.files.Add(1)
	c.bytes.Add(e.size)
	if c.share.cover(e.rel) && c.link(e) {
		return nil
	}
	if err := c.file(ctx, e); err != nil {
		return fmt.Errorf("%s: %w", e.rel, err)
	}
	return nil
}

// clear makes way for an entry where the copy may take the place of something.
// A directory stays for a directory.
func (c *copier) clear(e entry) error {
	if !c.over || e.rel == "." {
		return nil
	}
	info, err := os.Lstat(c.dst(e))
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() && e.mode.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(c.to)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.RemoveAll(filepath.FromSlash(e.rel))
}

// link makes a hard link, unless the filesystem refuses: a copy will do then.
func (c *copier) link(e entry) bool {
	if c.noLink.Load() {
		return false
	}
	if err := os.Link(c.src(e), c.dst(e)); err != nil {
		c.noLink.Store(true)
		return false
	}
	c.shared.Add(1)
	return true
}

func (c *copier) file(ctx context.Context, e entry) (err error) {
	src, err := openRegular(c.src(e))
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(c.dst(e), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if err := c.content(ctx, dst, src, e); err != nil {
		return err
	}
	return finishFile(dst, e.mode.Perm(), e.mtime)
}

// content copies one file's bytes by the cheapest way the filesystem has.
func (c *copier) content(ctx context.Context, dst, src *os.File, e entry) error {
	if e.size == 0 {
		return nil
	}
	if !c.noClone.Load() {
		if clone(dst, src) {
			c.reflinked.Add(1)
			return nil
		}
		c.noClone.Store(true)
	}
	// What a server has set aside for later (a log of its own, say) has all of its blocks, and is a hole all the same.
	if c.image || e.blocks*512 < e.size && e.blocks >= 0 {
		if err := copyData(ctx, dst, src, e.size); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return copyRange(ctx, dst, src, -1)
}

// copyRange copies from both files' positions: n bytes, or to the end if n is
// negative.
func copyRange(ctx context.Context, dst, src *os.File, n int64) error {
	for n != 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		want := int64(chunk)
		if n >= 0 {
			want = min(want, n)
		}
		done, err := io.CopyN(dst, src, want)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n >= 0 {
			n -= done
		}
	}
	return nil
}

// finish gives a directory its mode and times.
func (c *copier) finish(e entry, mode fs.FileMode) error {
	if err := os.Chmod(c.dst(e), mode); err != nil {
		return err
	}
	return os.Chtimes(c.dst(e), e.mtime, e.mtime)
}
