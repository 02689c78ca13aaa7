package nodedir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write makes a tree: "dir/" is a directory, "link -> target" a symbolic link,
// anything else a file that holds its own name.
func write(t *testing.T, root string, names ...string) {
	t.Helper()
	for _, name := range names {
		link, target, isLink := strings.Cut(name, " -> ")
		path := filepath.Join(root, link)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case isLink:
			err = os.Symlink(target, path)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			err = os.WriteFile(path, []byte(name), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// list returns what is in a tree, as write has it.
func list(t *testing.T, root string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if d.IsDir() {
			name += "/"
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, _ := os.Readlink(path)
			name += " -> " + target
		}
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(names)
	return names
}

func hash(t *testing.T, dir string) string {
	t.Helper()
	h, err := Hash(dir)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func mustCopy(t *testing.T, spec CopySpec) Stats {
	t.Helper()
	stats, err := Copy(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

func TestCopyIsTheSame(t *testing.T) {
	src, to := filepath.Join(t.TempDir(), "src"), filepath.Join(t.TempDir(), "to")
	write(t, src, "bin/server", "etc/a.conf", "etc/plugins/b.conf", "empty/", "lib/x/y/z", "lib/cur -> x/y", "dangling -> etc/none")
	old := time.Unix(1_000_000_000, 123_000_000)
	for name, mode := range map[string]fs.FileMode{"bin/server": 0o755, "etc/a.conf": 0o640, "lib/x": 0o555, "empty": 0o700} {
		path := filepath.Join(src, name)
		if err := errors.Join(os.Chtimes(path, old, old), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(src, "lib/x"), 0o755) })
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(to, "lib/x"), 0o755) })
	before := hash(t, src)
	stats := mustCopy(t, CopySpec{From: src, To: to})
	if got := hash(t, to); got != before {
		t.Errorf("the copy differs: %v", list(t, to))
	}
	if got := hash(t, src); got != before {
		t.Error("the source was changed")
	}
	if stats.Files != 4 || stats.Links != 2 || stats.Dirs != 8 || stats.Bytes == 0 || stats.Shared != 0 {
		t.Errorf("got %+v", stats)
	}
	for _, name := range []string{"bin/server", "lib/x", "empty"} {
		info, err := os.Stat(filepath.Join(to, name))
		if err != nil || !info.ModTime().Equal(old) {
			t.Errorf("%s: time %v, %v, want %v", name, info.ModTime(), err, old)
		}
	}
}

func TestCopyExcludeAndShare(t *testing.T) {
	src, to := filepath.Join(t.TempDir(), "src"), filepath.Join(t.TempDir(), "to")
	write(t, src, "bin/server", "lib/a.so", "lib/deep/b.so", "lib/c.txt", "data/mnesia/x/y", "data/keep", "log/old.log", "log/sub/older.log",
		"run/server.pid", "a/b/c/server.pid", ".onemore")
	spec := CopySpec{From: src, To: to,
		Exclude: []string{"data/mnesia", "log/**", "**/*.pid"}, Share: []string{"bin", "lib/**/*.so"}}
	if err := Make(to, "cluster-1"); err != nil {
		t.Fatal(err)
	}
	stats := mustCopy(t, spec)
	want := []string{".onemore", "a/", "a/b/", "a/b/c/", "bin/", "bin/server", "data/", "data/keep", "lib/", "lib/a.so", "lib/c.txt",
		"lib/deep/", "lib/deep/b.so", "log/", "run/"}
	if got := list(t, to); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if id, ok, err := Marked(to); id != "cluster-1" || !ok || err != nil {
		t.Errorf("the mark was copied over: %q %v %v", id, ok, err)
	}
	for name, shared := range map[string]bool{"bin/server": true, "lib/a.so": true, "lib/deep/b.so": true, "lib/c.txt": false, "data/keep": false} {
		a, errA := os.Stat(filepath.Join(src, name))
		b, errB := os.Stat(filepath.Join(to, name))
		if err := errors.Join(errA, errB); err != nil || os.SameFile(a, b) != shared {
			t.Errorf("%s: shared %v, %v", name, !shared, err)
		}
	}
	if stats.Shared != 3 {
		t.Errorf("got %+v", stats)
	}
	// Writing a shared file in the copy leaves the source's alone.
	if err := WriteFile(to, "lib/a.so", []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(src, "lib/a.so")); err != nil || string(b) != "lib/a.so" {
		t.Errorf("the source has %q, %v", b, err)
	}
}

func TestCopyLinks(t *testing.T) {
	base := t.TempDir()
	src, to := filepath.Join(base, "src"), filepath.Join(base, "to")
	write(t, base, "alias -> src", "outside/file")
	write(t, src, "a/f", "rel -> a/f", "up/l -> ../a", "abs -> "+src+"/a/f", "via -> "+base+"/alias/a", "self -> "+src, "root -> .")
	mustCopy(t, CopySpec{From: filepath.Join(base, "alias"), To: to})
	want := []string{"a/", "a/f", "abs -> " + to + "/a/f", "rel -> a/f", "root -> .", "self -> " + to, "up/", "up/l -> ../a", "via -> " + to + "/a"}
	if got := list(t, to); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestCopyRefuses(t *testing.T) {
	base := t.TempDir()
	src := filepath.Join(base, "src")
	write(t, base, "outside/file", "file", "full/x", "srcx/y")
	write(t, src, "ok", "bad/abs -> /etc/passwd", "bad/rel -> ../../outside", "bad/dangling -> ../../nowhere", "bad/way -> ../../src/ok",
		"bad/prefix -> ../../srcx/y")
	for _, name := range []string{"fifo", "socket"} {
		path := filepath.Join(src, "bad", name)
		if name == "fifo" {
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	_, err := Copy(t.Context(), CopySpec{From: src, To: filepath.Join(base, "to")})
	for _, want := range []string{"bad/abs: links out", "bad/rel: links out", "bad/dangling: links out", "bad/prefix: links out",
		"bad/way: reaches", "bad/fifo: is a named pipe", "bad/socket: is a socket", "exclude it"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if err := CheckSource(t.Context(), src); err == nil {
		t.Error("CheckSource is content")
	}
	if err := CheckSource(t.Context(), src, "bad"); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		spec CopySpec
		want string
	}{
		{CopySpec{From: "", To: "to"}, "not given"},
		{CopySpec{From: filepath.Join(base, "missing"), To: "to"}, "no such file"},
		{CopySpec{From: filepath.Join(base, "file"), To: "to"}, "is a file, not a directory"},
		{CopySpec{From: src, To: filepath.Join(src, "inside")}, "within each other"},
		{CopySpec{From: filepath.Join(base, "full"), To: base}, "within each other"},
		{CopySpec{From: src, To: src}, "within each other"},
		{CopySpec{From: src, To: filepath.Join(base, "full")}, `file already exists: it holds "x"`},
		{CopySpec{From: src, To: filepath.Join(base, "file")}, "not a directory"},
		{CopySpec{From: src, To: filepath.Join(base, "no", "parent")}, "no such file"},
		{CopySpec{From: src, To: "to", Exclude: []string{"[a"}}, "syntax error in pattern"},
		{CopySpec{From: src, To: "to", Exclude: []string{"/"}}, "matches the whole directory"},
		{CopySpec{From: src, To: "to", Share: []string{"a/[", "b"}}, "syntax error in pattern"},
	} {
		tt.spec.Exclude = append(tt.spec.Exclude, "bad")
		if _, err := Copy(t.Context(), tt.spec); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want %q in it", tt.spec, err, tt.want)
		}
	}
	if got := list(t, base); strings.Contains(fmt.Sprint(got), "to/") {
		t.Errorf("something was made: %v", got)
	}
}

func TestCopyUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can read everything")
	}
	src := t.TempDir()
	write(t, src, "etc/secret", "dir/x")
	for _, name := range []string{"etc/secret", "dir"} {
		if err := os.Chmod(filepath.Join(src, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(filepath.Join(src, "dir"), 0o700)
	err := CheckSource(t.Context(), src)
	for _, want := range []string{"etc/secret: can't be read", "dir: can't be read"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestCopyCancelled(t *testing.T) {
	src := t.TempDir()
	write(t, src, "a", "b")
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if _, err := Copy(ctx, CopySpec{From: src, To: filepath.Join(t.TempDir(), "to")}); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
}

func TestCopySparse(t *testing.T) {
	src, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	path := filepath.Join(src, "sparse")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{1 << 20, 40 << 20} {
		if _, err := f.WriteAt([]byte("data"), at); err != nil {
			t.Fatal(err)
		}
	}
	const size = 64<<20 + 5
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	write(t, src, "empty/")
	if err := os.Truncate(filepath.Join(src, "empty"), 0); err == nil {
		t.Fatal("truncated a directory")
	}
	mustCopy(t, CopySpec{From: src, To: to})
	info, err := os.Stat(filepath.Join(to, "sparse"))
	if err != nil || info.Size() != size {
		t.Fatalf("got %v, %v", info, err)
	}
	was, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if blocks(was) < 1<<11 && blocks(info) > 1<<12 && hasHoles() {
		t.Errorf("copy takes %d blocks, the source %d", blocks(info), blocks(was))
	}
	if hash(t, src) != hash(t, to) {
		t.Error("content differs")
	}
}

func TestHashSeesChanges(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/f", "a/g", "l -> a/f")
	seen := map[string]string{hash(t, dir): "nothing"}
	for _, change := range []struct {
		name string
		do   func() error
	}{
		{"content", func() error { return os.WriteFile(filepath.Join(dir, "a/f"), []byte("x/f"), 0o644) }},
		{"mode", func() error { return os.Chmod(filepath.Join(dir, "a/f"), 0o600) }},
		{"name", func() error { return os.Rename(filepath.Join(dir, "a/f"), filepath.Join(dir, "a/h")) }},
		{"new", func() error { return os.Mkdir(filepath.Join(dir, "b"), 0o755) }},
		{"link", func() error {
			return errors.Join(os.Remove(filepath.Join(dir, "l")), os.Symlink("a/g", filepath.Join(dir, "l")))
		}},
	} {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		h := hash(t, dir)
		if other, ok := seen[h]; ok {
			t.Errorf("%s: the same as after %s", change.name, other)
		}
		seen[h] = change.name
		if now := time.Now().Add(time.Hour); os.Chtimes(filepath.Join(dir, "a"), now, now) != nil || hash(t, dir) != h {
			t.Errorf("%s: a time counts", change.name)
		}
	}
	if _, err := Hash(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
