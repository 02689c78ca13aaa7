// Package archive unpacks an archive that may come from anybody: .tar, .tar.gz, .tar.xz and .zip. Whatever the archive says,
// nothing is written outside of the folder, links lead nowhere else, devices and sockets are refused, and size and number of the
// files are bounded.
//
// It knows nothing of servers and of where the archive comes from, and leaves what it wrote where it is when it fails: the
// caller unpacks into a folder of its own and removes that.
//
// Start at Unpack.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Limits bound what an archive may become. The zero value of a field stands for the default.
type Limits struct {
	Bytes int64 // of all files together; default 16 GiB
	Files int   // entries, of any kind; default 500,000
}

const (
	defaultBytes = 16 << 30
	defaultFiles = 500_000
)

// Options say how an archive is unpacked.
type Options struct {
	Limits   Limits
	Progress func(int64) // bytes that were written so far; may be nil
}

// Error names the entry of an archive that is refused, and why.
type Error struct {
	Archive string // the archive's path
	Entry   string // the path inside of it
	Why     string
}

func (e *Error) Error() string {
	return fmt.Sprintf("archive %s: entry %q %s", e.Archive, e.Entry, e.Why)
}

// ErrFormat says that a file is none of the archives that Unpack reads.
var ErrFormat = errors.New("not an archive that can be read: want .tar, .tar.gz, .tgz, .tar.xz, .txz or .zip")

// Is reports by its name whether a file is an archive that Unpack reads.
func Is(name string) bool {
	_, ok := formatOf(name)
	return ok
}

// format is how the entries of an archive are read.
type format func(u *unpacker, file *os.File) error

func formatOf(name string) (format, bool) {
	name = strings.ToLower(name)
	for _, f := range []struct {
		suffix string
		read   format
	}{
		{".tar.gz", (*unpacker).tarGzip}, {".tgz", (*unpacker).tarGzip}, {".tar.xz", (*unpacker).tarXz},
		{".txz", (*unpacker).tarXz}, {".tar", (*unpacker).tarPlain}, {".zip", (*unpacker).zip},
	} {
		if strings.HasSuffix(name, f.suffix) {
			return f.read, true
		}
	}
	return nil, false
}

// BaseName is a file's name without the ending of its archive format.
func BaseName(name string) string {
	name = path.Base(name)
	for _, suffix := range []string{".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar", ".zip"} {
		if len(name) > len(suffix) && strings.EqualFold(name[len(name)-len(suffix):], suffix) {
			return name[:len(name)-len(suffix)]
		}
	}
	return name
}

// Unpack writes the content of the archive into dir, an existing folder that should be empty. It ends early, with the cause,
// when the context does. An entry that is refused is an *Error.
func Unpack(ctx context.Context, file, dir string, o Options) error {
	read, ok := formatOf(file)
	if !ok {
		return fmt.Errorf("unpack %s: %w", file, ErrFormat)
	}
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := newUnpacker(ctx, file, root, o)
	err = read(u, in)
	if err == nil {
		err = u.finish()
	}
	if refused := (*Error)(nil); errors.As(err, &refused) {
		return err
	}
	if err != nil {
		return fmt.Errorf("unpack %s: %w", file, err)
	}
	return nil
}

// entry is a file of an archive, whatever its format.
type entry struct {
	path string
	mode fs.FileMode // type and permissions
	link string      // target of a symbolic link; of a hard link if hard
	hard bool
	open func() (io.ReadCloser, error) // the content of a regular file
}
