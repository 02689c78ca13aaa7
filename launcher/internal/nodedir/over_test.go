package nodedir

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCopyOnly wants what an upgrade keeps of the old directory laid over the new: named files and folders, nothing else.
func TestCopyOnly(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	write(t, from, "data/a/b", "data/empty/", "etc/x.conf", "etc/y.conf", "bin/server", "lib/deep/er/z", "link -> data/a")
	write(t, to, "etc/x.conf/", "etc/new.conf", "bin/server", "data -> ../elsewhere", "link")
	write(t, dir, "elsewhere/safe")
	before := hashOf(t, filepath.Join(dir, "elsewhere"))
	st, err := Copy(t.Context(), CopySpec{From: from, To: to, Only: []string{"data", "etc/x.conf", "link", "missing/*"}, Over: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"bin/", "bin/server", "data/", "data/a/", "data/a/b", "data/empty/", "etc/", "etc/new.conf", "etc/x.conf", "link -> data/a"}
	if got := list(t, to); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if st.Files != 2 || st.Links != 1 {
		t.Errorf("stats %+v", st)
	}
	if hashOf(t, filepath.Join(dir, "elsewhere")) != before {
		t.Error("a link in the copy was followed")
	}
}

// TestCopyImage wants a server's directory as it is, but for what only its process can use.
func TestCopyImage(t *testing.T) {
	dir, err := os.MkdirTemp("", "im") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	write(t, from, "data/x", "out -> /etc/passwd", "self -> "+from+"/data")
	l, err := net.Listen("unix", filepath.Join(from, "data", "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := unix.Mkfifo(filepath.Join(from, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), CopySpec{From: from, To: to}); err == nil {
		t.Fatal("a socket was copied")
	}
	if _, err := Copy(t.Context(), CopySpec{From: from, To: to, Image: true}); err != nil {
		t.Fatal(err)
	}
	want := []string{"data/", "data/x", "out -> /etc/passwd", "self -> " + from + "/data"}
	if got := list(t, to); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func hashOf(t *testing.T, dir string) string {
	t.Helper()
	sum, err := Hash(dir)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
