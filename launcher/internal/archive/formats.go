package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/ulikunitz/xz"
)

func (u *unpacker) tarPlain(file *os.File) error { return u.tar(buffered(file)) }

func (u *unpacker) tarGzip(file *os.File) error {
	in, err := gzip.NewReader(buffered(file))
	if err != nil {
		return err
	}
	return u.tar(in)
}

func (u *unpacker) tarXz(file *os.File) error {
	in, err := xz.NewReader(buffered(file))
	if err != nil {
		return err
	}
	return u.tar(in)
}

func (u *unpacker) tar(in io.Reader) error {
	t := tar.NewReader(in)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := u.add(tarEntry(h, t)); err != nil {
			return err
		}
	}
}

func tarEntry(h *tar.Header, content io.Reader) entry {
	e := entry{path: h.Name, mode: h.FileInfo().Mode(), link: h.Linkname, hard: h.Typeflag == tar.TypeLink}
	e.open = func() (io.ReadCloser, error) { return io.NopCloser(content), nil }
	if h.Typeflag == tar.TypeXGlobalHeader { // a comment, such as git's commit
		e.path = "."
	}
	return e
}

// maxLink is how long the target of a symbolic link may be: the kernel's own limit.
const maxLink = 4096

func (u *unpacker) zip(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(file, info.Size())
	if err != nil {
		return err
	}
	for _, f := range z.File {
		e := entry{path: f.Name, mode: f.Mode(), open: f.Open}
		if e.mode&fs.ModeSymlink != 0 {
			if e.link, err = zipLink(f); err != nil {
				return fmt.Errorf("read link %s: %w", f.Name, err)
			}
		}
		if err := u.add(e); err != nil {
			return err
		}
	}
	return nil
}

// zipLink reads the target of a symbolic link, which is the entry's content.
func zipLink(f *zip.File) (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	target, err := io.ReadAll(io.LimitReader(r, maxLink))
	return string(bytes.TrimRight(target, "\x00")), err
}
