package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// unpacker writes entries into a folder and keeps count.
type unpacker struct {
	ctx     context.Context
	archive string
	root    *os.Root
	o       Options
	bytes   int64 // written so far
	files   int   // entries so far
	links   []entry
	dirs    []entry // get their modes last, since one without write permission takes no files
}

func newUnpacker(ctx context.Context, archive string, root *os.Root, o Options) *unpacker {
	if o.Limits.Bytes == 0 {
		o.Limits.Bytes = defaultBytes
	}
	if o.Limits.Files == 0 {
		o.Limits.Files = defaultFiles
	}
	return &unpacker{ctx: ctx, archive: archive, root: root, o: o}
}

func (u *unpacker) refuse(e entry, why string, args ...any) error {
	return &Error{Archive: u.archive, Entry: e.path, Why: fmt.Sprintf(why, args...)}
}

// add writes one entry. Links are made at the end: no later entry is written through one.
func (u *unpacker) add(e entry) error {
	if err := u.ctx.Err(); err != nil {
		return context.Cause(u.ctx)
	}
	if u.files++; u.files > u.o.Limits.Files {
		return u.refuse(e, "is one too many: an archive may have %d", u.o.Limits.Files)
	}
	name := clean(e.path)
	if name == "" {
		return nil // the folder itself
	}
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return u.refuse(e, "leads out of the folder")
	}
	inside := e
	inside.path = name
	switch {
	case e.hard || e.mode&fs.ModeSymlink != 0:
		u.links = append(u.links, inside)
		return nil
	case e.mode.IsDir():
		u.dirs = append(u.dirs, inside)
		return u.root.MkdirAll(name, 0o755)
	case e.mode.IsRegular():
		return u.writeFile(inside, e)
	}
	return u.refuse(e, "is neither a file, a folder nor a link: %v", e.mode.Type())
}

// writeFile writes a regular file. Special bits of the mode (setuid and the like) are left out.
func (u *unpacker) writeFile(e, as entry) (err error) {
	if err := u.root.MkdirAll(path.Dir(e.path), 0o755); err != nil {
		return err
	}
	in, err := e.open()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := u.root.Remove(e.path); err != nil && !errors.Is(err, fs.ErrNotExist) { // the same path twice: the last one stands
		return err
	}
	out, err := u.root.OpenFile(e.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, e.mode.Perm()|0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	left := u.o.Limits.Bytes - u.bytes
	n, err := io.Copy(out, io.LimitReader(&cancelReader{u.ctx, in}, left+1))
	u.bytes += n
	if err == nil && n > left {
		return u.refuse(as, "makes it larger than %d bytes", u.o.Limits.Bytes)
	}
	if err == nil && u.o.Progress != nil {
		u.o.Progress(u.bytes)
	}
	return err
}

// finish makes the links, then gives the folders their modes.
func (u *unpacker) finish() error {
	for _, l := range u.links {
		if err := u.link(l); err != nil {
			return err
		}
	}
	if err := u.checkLinks(); err != nil {
		return err
	}
	for _, d := range u.dirs {
		if err := u.root.Chmod(d.path, d.mode.Perm()|0o700); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) link(l entry) error {
	target := filepath.ToSlash(l.link)
	from := path.Dir(l.path)
	if l.hard {
		target, from = clean(target), "."
	}
	if path.IsAbs(target) || !filepath.IsLocal(filepath.FromSlash(path.Join(from, target))) {
		return u.refuse(l, "is a link out of the folder, to %s", l.link)
	}
	if err := u.root.MkdirAll(path.Dir(l.path), 0o755); err != nil {
		return err
	}
	if err := u.root.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if l.hard {
		return u.root.Link(path.Clean(target), l.path)
	}
	return u.root.Symlink(target, l.path)
}

// checkLinks follows every symbolic link, since several of which each stays inside may together lead out. One that dangles
// is left as it is: it can't be made to lead out later, as the check above holds for its text.
func (u *unpacker) checkLinks() error {
	for _, l := range u.links {
		if _, err := u.root.Stat(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return u.refuse(l, "is a link out of the folder or in a circle, to %s", l.link)
		}
	}
	return nil
}

// clean is a path as entries name others: without "./" before it and "/" behind it; "" for the folder itself.
func clean(name string) string {
	name = strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(name), "./"), "/")
	if name == "." {
		return ""
	}
	return name
}

// cancelReader ends with the context's cause.
type cancelReader struct {
	ctx context.Context
	io.Reader
}

func (r *cancelReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

// buffered is how a compressed archive is read from disk.
func buffered(file *os.File) *bufio.Reader { return bufio.NewReaderSize(file, 1<<18) }
