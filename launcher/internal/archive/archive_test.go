package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

// member is a file of an archive that a test makes.
type member struct {
	name, body, link string
	kind             byte // of tar; 0 is a regular file
	mode             int64
}

func tarOf(t *testing.T, ms []member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range ms {
		h := &tar.Header{Name: m.name, Typeflag: m.kind, Linkname: m.link, Mode: m.mode, Size: int64(len(m.body))}
		if m.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if m.mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compressed(t *testing.T, w io.WriteCloser, err error, b *bytes.Buffer, text []byte) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipOf(t *testing.T, text []byte) []byte {
	var b bytes.Buffer
	return compressed(t, gzip.NewWriter(&b), nil, &b, text)
}

func xzOf(t *testing.T, text []byte) []byte {
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	return compressed(t, w, err, &b, text)
}

func zipOf(t *testing.T, ms []member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range ms {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		h.SetMode(fs.FileMode(m.mode))
		if m.mode == 0 {
			h.SetMode(0o644)
		}
		body := m.body
		if m.kind == tar.TypeSymlink {
			h.SetMode(fs.ModeSymlink | 0o777)
			body = m.link
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpack writes the archive's bytes under name and unpacks them into a new folder.
func unpack(t *testing.T, name string, text []byte, o Options) (dir string, err error) {
	t.Helper()
	top := t.TempDir()
	file := filepath.Join(top, name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(top, "out")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, Unpack(t.Context(), file, dir, o)
}

func TestUnpackFormats(t *testing.T) {
	server := []member{
		{name: "server-1.2/", kind: tar.TypeDir, mode: 0o555},
		{name: "server-1.2/bin/run", body: "#!/bin/sh\n", mode: 0o4755},
		{name: "server-1.2/bin/alias", kind: tar.TypeSymlink, link: "run"},
		{name: "server-1.2/etc/a.conf", body: "port = 1\n"},
	}
	tarred := tarOf(t, server)
	for name, text := range map[string][]byte{
		"a.tar": tarred, "a.tar.gz": gzipOf(t, tarred), "a.tgz": gzipOf(t, tarred), "a.tar.xz": xzOf(t, tarred), "a.ZIP": zipOf(t, server[1:]),
	} {
		t.Run(name, func(t *testing.T) {
			var written int64
			dir, err := unpack(t, name, text, Options{Progress: func(n int64) { written = n }})
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(dir, "server-1.2", "bin", "alias"))
			if err != nil || string(got) != "#!/bin/sh\n" {
				t.Errorf("bin/alias reads %q, %v", got, err)
			}
			info, err := os.Stat(filepath.Join(dir, "server-1.2", "bin", "run"))
			if err != nil || info.Mode() != 0o755 {
				t.Errorf("bin/run has mode %v (%v), want 0755 and no setuid", info.Mode(), err)
			}
			if want := int64(len("#!/bin/sh\n") + len("port = 1\n")); written != want {
				t.Errorf("progress ended at %d bytes, want %d", written, want)
			}
		})
	}
}

func TestUnpackRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		members []member
		o       Options
		want    string
	}{
		{"a path out of the folder", []member{{name: "../evil", body: "x"}}, Options{}, "leads out of the folder"},
		{"a path out of the folder further in", []member{{name: "a/../../evil", body: "x"}}, Options{}, "leads out of the folder"},
		{"an absolute path", []member{{name: "/etc/evil", body: "x"}}, Options{}, "leads out of the folder"},
		{"a device", []member{{name: "null", kind: tar.TypeChar}}, Options{}, "neither a file"},
		{"a pipe", []member{{name: "pipe", kind: tar.TypeFifo}}, Options{}, "neither a file"},
		{"an absolute link", []member{{name: "l", kind: tar.TypeSymlink, link: "/etc"}}, Options{}, "link out of the folder"},
		{"a link out", []member{{name: "a/l", kind: tar.TypeSymlink, link: "../../x"}}, Options{}, "link out of the folder"},
		{"a hard link out", []member{{name: "l", kind: tar.TypeLink, link: "../x"}}, Options{}, "link out of the folder"},
		{"links that lead out together", []member{
			{name: "d/e/f", body: "x"}, {name: "s", kind: tar.TypeSymlink, link: "d/e"}, {name: "d/e/up", kind: tar.TypeSymlink, link: "../.."},
			{name: "out", kind: tar.TypeSymlink, link: "s/up/.."},
		}, Options{}, "out of the folder or in a circle"},
		{"links in a circle", []member{{name: "a", kind: tar.TypeSymlink, link: "b"}, {name: "b", kind: tar.TypeSymlink, link: "a"}}, Options{}, "circle"},
		{"a bomb", []member{{name: "zeros", body: strings.Repeat("\x00", 5000)}}, Options{Limits: Limits{Bytes: 4999}}, "larger than 4999 bytes"},
		{"a bomb of many files", []member{{name: "a", body: strings.Repeat("x", 50)}, {name: "b", body: strings.Repeat("x", 50)}}, Options{Limits: Limits{Bytes: 99}}, "larger than 99 bytes"},
		{"too many files", []member{{name: "a"}, {name: "b"}, {name: "c"}}, Options{Limits: Limits{Files: 2}}, "one too many"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := unpack(t, "a.tar.gz", gzipOf(t, tarOf(t, tt.members)), tt.o)
			refused := (*Error)(nil)
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want a refusal with %q", err, tt.want)
			}
			if _, err := os.Lstat(filepath.Join(filepath.Dir(dir), "evil")); err == nil {
				t.Error("a file was written outside of the folder")
			}
		})
	}
}

// A file that is written through a link of the same archive would land where the link leads.
func TestUnpackNotThroughLinks(t *testing.T) {
	dir, err := unpack(t, "a.tar", tarOf(t, []member{
		{name: "real/keep", body: "kept"}, {name: "link", kind: tar.TypeSymlink, link: "real"}, {name: "link/keep", body: "overwritten"},
	}), Options{})
	if err == nil {
		t.Fatal("want an error: a folder stands where the link is to be")
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "real", "keep")); string(got) != "kept" {
		t.Errorf("real/keep reads %q", got)
	}
}

func TestUnpackDamaged(t *testing.T) {
	whole := gzipOf(t, tarOf(t, []member{{name: "a", body: strings.Repeat("text ", 4000)}}))
	for name, text := range map[string][]byte{"cut.tar.gz": whole[:len(whole)/2], "not.tar.gz": []byte("<html>404</html>"), "not.tar.xz": []byte("x"), "not.zip": []byte("x")} {
		if _, err := unpack(t, name, text, Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an error with the file's name", name, err)
		}
	}
	if _, err := unpack(t, "a.rar", nil, Options{}); !errors.Is(err, ErrFormat) {
		t.Errorf("a.rar: got %v, want %v", err, ErrFormat)
	}
}

func TestUnpackCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	cancel(why)
	file := filepath.Join(t.TempDir(), "a.tar")
	if err := os.WriteFile(file, tarOf(t, []member{{name: "a", body: "x"}}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Unpack(ctx, file, t.TempDir(), Options{}); !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
}

func TestBaseName(t *testing.T) {
	for name, want := range map[string]string{"/x/nats-2.10.tar.gz": "nats-2.10", "a.ZIP": "a", "plain": "plain", ".zip": ".zip"} {
		if got := BaseName(name); got != want {
			t.Errorf("BaseName(%q) = %q, want %q", name, got, want)
		}
	}
}

// Whatever the bytes are: no panic, and nothing outside of the folder.
func FuzzUnpack(f *testing.F) {
	t := &testing.T{}
	f.Add("a.tar", tarOf(t, []member{{name: "../evil", body: "x"}, {name: "l", kind: tar.TypeSymlink, link: ".."}}))
	f.Add("a.zip", zipOf(t, []member{{name: "a/b", body: "x"}, {name: "l", kind: tar.TypeSymlink, link: "a"}}))
	f.Add("a.tar.gz", gzipOf(t, tarOf(t, []member{{name: "a/b", body: "x"}})))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		if strings.ContainsAny(name, "/\x00") || !Is(name) || len(name) > 100 {
			return
		}
		dir, _ := unpack(t, name, text, Options{Limits: Limits{Bytes: 1 << 20, Files: 1000}})
		es, err := os.ReadDir(filepath.Dir(dir))
		if err != nil || len(es) != 2 {
			t.Errorf("beside the folder there are now %v, %v", es, err)
		}
	})
}
