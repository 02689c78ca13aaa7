package proc

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestOpenFiles: files that are open or mapped for writing and bound sockets count, everything else that is open does not.
func TestOpenFiles(t *testing.T) {
	dir := resolved(t.TempDir())
	open := func(name string, flags int) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(dir, name), flags|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
	}
	open("written", os.O_WRONLY)
	open("appended", os.O_RDWR|os.O_APPEND)
	open("read", os.O_RDONLY)
	open("deleted", os.O_WRONLY)
	if err := os.Remove(filepath.Join(dir, "deleted")); err != nil {
		t.Fatal(err)
	}
	mapFile(t, filepath.Join(dir, "mapped for writing"), syscall.PROT_READ|syscall.PROT_WRITE)
	mapFile(t, filepath.Join(dir, "mapped"), syscall.PROT_READ)
	t.Chdir(dir)
	abstract := "@" + dir + "/abstract.sock"
	for _, path := range []string{filepath.Join(dir, "absolute.sock"), "relative.sock", abstract} {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	sockets, err := BoundSockets()
	if err != nil {
		t.Fatal(err)
	}
	got := map[OpenFile]bool{}
	for _, f := range OpenFiles(os.Getpid(), sockets, func(path string) bool { return within(strings.TrimPrefix(path, "@"), dir) }) {
		f.Path = filepath.Base(f.Path)
		got[f] = true
	}
	want := []OpenFile{{"written", false}, {"appended", false}, {"absolute.sock", true}, {"relative.sock", true}, {"abstract.sock", true}, {"mapped for writing", false}}
	for _, f := range want {
		if !got[f] {
			t.Errorf("%+v is missing", f)
		}
	}
	for f := range got {
		if !slices.Contains(want, f) {
			t.Errorf("%+v should not count", f)
		}
	}
}

// mapFile maps a file into memory, and closes it.
func mapFile(t *testing.T, name string, prot int) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	m, err := syscall.Mmap(int(f.Fd()), 0, 4096, prot, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(m) })
}
