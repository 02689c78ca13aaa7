package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// vendor is a server with releases: files by path. It counts requests, and can break connections.
type vendor struct {
	*httptest.Server
	mu     sync.Mutex
	files  map[string][]byte
	asked  atomic.Int64
	served atomic.Int64 // bytes
	cut    atomic.Int64 // connections that break after half of what they were to send
}

func newVendor(t *testing.T, files map[string][]byte) *vendor {
	v := &vendor{files: files}
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.asked.Add(1)
	v.mu.Lock()
	text, ok := v.files[r.URL.Path]
	v.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(text)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	out := &countingWriter{ResponseWriter: w, v: v, limit: -1}
	if strings.HasSuffix(r.URL.Path, ".tar.gz") && v.cut.Add(-1) >= 0 {
		out.limit = len(text) / 4
	}
	http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(text))
}

type countingWriter struct {
	http.ResponseWriter
	v     *vendor
	limit int // bytes until the connection breaks; -1 for never
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.limit >= 0 && len(p) >= w.limit {
		_, _ = w.ResponseWriter.Write(p[:w.limit])
		w.v.served.Add(int64(w.limit))
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	if w.limit >= 0 {
		w.limit -= len(p)
	}
	w.v.served.Add(int64(len(p)))
	return w.ResponseWriter.Write(p)
}

// server is an archive with one program: a script, and noise that can't be compressed.
func server(t *testing.T, noise int, extra ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	random := make([]byte, noise)
	for i, seed := 0, uint32(1); i < noise; i++ {
		seed = seed*1664525 + 1013904223
		random[i] = byte(seed >> 24)
	}
	files := append([]string{"bin/serve", "#!/bin/sh\necho 1.2\n", "lib/noise", string(random)}, extra...)
	for i := 0; i < len(files); i += 2 {
		h := &tar.Header{Name: "serve-1.2/" + files[i], Mode: 0o755, Size: int64(len(files[i+1]))}
		if err := errors.Join(w.WriteHeader(h), second(io.WriteString(w, files[i+1]))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func second(_ int, err error) error { return err }

func sums(files ...any) []byte {
	var b strings.Builder
	for i := 0; i < len(files); i += 2 {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(files[i+1].([]byte)), files[i])
	}
	return []byte(b.String())
}

func (v *vendor) source(checksums bool) Source {
	s := Source{Name: "serve", Version: "1.2", URL: v.URL + "/dl/v1.2/serve-1.2.tar.gz"}
	if checksums {
		s.Checksums = v.URL + "/dl/v1.2/SHA256SUMS"
	}
	return s
}

func published(text []byte) map[string][]byte {
	return map[string][]byte{"/dl/v1.2/serve-1.2.tar.gz": text, "/dl/v1.2/SHA256SUMS": sums("other.tar.gz", []byte("x"), "serve-1.2.tar.gz", text)}
}

func newCache(t *testing.T) *Cache {
	return &Cache{Dir: filepath.Join(t.TempDir(), "releases"), Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

func get(t *testing.T, c *Cache, s Source) *Release {
	t.Helper()
	r, err := c.Get(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(r.Dir, "bin", "serve"))
	if err != nil || string(text) != "#!/bin/sh\necho 1.2\n" {
		t.Fatalf("bin/serve reads %q, %v", text, err)
	}
	return r
}

// wantNothing checks that no release and no part of one is in the cache.
func wantNothing(t *testing.T, c *Cache) {
	t.Helper()
	_ = filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != c.Dir && d.Name() != digestRecord && path != filepath.Join(c.Dir, "serve") {
			t.Errorf("left in the cache: %s", path)
		}
		return nil
	})
}

func TestGet(t *testing.T) {
	v := newVendor(t, published(server(t, 1000)))
	c := newCache(t)
	r := get(t, c, v.source(true))
	if !r.Checked || !strings.HasPrefix(r.Digest, "sha256:") {
		t.Errorf("got digest %s, checked %v", r.Digest, r.Checked)
	}
	asked := v.asked.Load()
	if again := get(t, c, v.source(true)); again.Dir != r.Dir || v.asked.Load() != asked {
		t.Errorf("a release of the cache was asked for again: %d requests more", v.asked.Load()-asked)
	}
	all, err := c.List()
	if err != nil || len(all) != 1 || all[0].Version != "1.2" || all[0].Dir != r.Dir {
		t.Errorf("List: %+v, %v", all, err)
	}
	if err := c.Remove(t.Context(), "serve", "1.2"); err != nil {
		t.Fatal(err)
	}
	wantNothing(t, c)
	if err := c.Remove(t.Context(), "serve", "1.2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestGetAtOnce(t *testing.T) {
	v := newVendor(t, published(server(t, 1<<20)))
	dir := newCache(t).Dir
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := newCache(t)
			c.Dir = dir
			if _, err := c.Get(t.Context(), v.source(true), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := v.asked.Load(); n != 2 {
		t.Errorf("%d requests, want 2: the archive and its digests", n)
	}
}

// A connection that breaks is taken up again where it broke, within a call and by a later one.
func TestGetResumes(t *testing.T) {
	text := server(t, 1<<20)
	v := newVendor(t, published(text))
	v.cut.Store(3)
	var last Progress
	c := newCache(t)
	_, err := c.Get(t.Context(), v.source(true), func(p Progress) {
		if p.Phase == "fetch" {
			last = p
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := v.served.Load(); n > int64(len(text))+1000 || v.cut.Load() >= 0 {
		t.Errorf("%d bytes were sent for an archive of %d, and %d connections were still to break", n, len(text), v.cut.Load())
	}
	if last.Bytes != int64(len(text)) || last.Total != int64(len(text)) {
		t.Errorf("progress ended with %+v, want %d bytes", last, len(text))
	}
}

func TestGetResumesLater(t *testing.T) {
	text := server(t, 1<<20)
	v := newVendor(t, published(text))
	v.cut.Store(1)
	c := newCache(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	_, err := c.Get(ctx, v.source(true), func(p Progress) {
		if p.Phase == "fetch" && p.Bytes >= int64(len(text))/8 {
			cancel(why)
		}
	})
	if !errors.Is(err, why) {
		t.Fatalf("got %v, want %v", err, why)
	}
	get(t, c, v.source(true))
	if n := v.served.Load(); n > int64(len(text))*5/4 { // a quarter had been sent, of which an eighth at least was kept
		t.Errorf("%d bytes were sent for an archive of %d", n, len(text))
	}
}

// What changed on the server between two parts is fetched anew, never put together.
func TestGetChangedMeanwhile(t *testing.T) {
	old, text := server(t, 1<<20, "x", "old"), server(t, 1<<20, "x", "new")
	v := newVendor(t, published(old))
	c := newCache(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	if _, err := c.Get(ctx, v.source(true), func(p Progress) {
		if p.Bytes > 0 && p.Bytes < int64(len(old)) {
			cancel(errors.New("interrupted"))
		}
	}); err == nil {
		t.Fatal("want an error")
	}
	v.mu.Lock()
	v.files = published(text)
	v.mu.Unlock()
	r := get(t, c, v.source(true))
	if got, _ := os.ReadFile(filepath.Join(r.Dir, "x")); string(got) != "new" {
		t.Errorf("x reads %q", got)
	}
}

func TestGetWrongDigest(t *testing.T) {
	files := published(server(t, 100))
	files["/dl/v1.2/serve-1.2.tar.gz"] = server(t, 101)
	v := newVendor(t, files)
	c := newCache(t)
	_, err := c.Get(t.Context(), v.source(true), nil)
	if wrong := (*DigestError)(nil); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "serve-1.2.tar.gz") {
		t.Fatalf("got %v, want a DigestError with the archive's name", err)
	}
	wantNothing(t, c)
}

// Where no digest is published, the one of the first fetch counts, also after the release was removed.
func TestGetOtherThanFirst(t *testing.T) {
	v := newVendor(t, published(server(t, 100)))
	c := newCache(t)
	if r := get(t, c, v.source(false)); r.Checked {
		t.Error("a digest that nobody published counts as checked")
	}
	if err := c.Remove(t.Context(), "serve", "1.2"); err != nil {
		t.Fatal(err)
	}
	v.mu.Lock()
	v.files["/dl/v1.2/serve-1.2.tar.gz"] = server(t, 101)
	v.mu.Unlock()
	_, err := c.Get(t.Context(), v.source(false), nil)
	if wrong := (*DigestError)(nil); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "first fetched") {
		t.Fatalf("got %v, want a DigestError that names the first fetch", err)
	}
	wantNothing(t, c)
}

func TestGetUnreachable(t *testing.T) {
	v := newVendor(t, published(server(t, 100)))
	s := v.source(true)
	v.Close()
	c := newCache(t)
	_, err := c.Get(t.Context(), s, nil)
	none := (*UnreachableError)(nil)
	if !errors.As(err, &none) || none.URL != s.URL || !strings.Contains(none.Hint(), c.Dir) {
		t.Fatalf("got %v, want an UnreachableError with the URL and the place in the cache", err)
	}
	wantNothing(t, c)
	// by hand
	for file, text := range published(server(t, 100)) {
		place := filepath.Join(filepath.Dir(none.File), filepath.Base(file))
		if err := errors.Join(os.MkdirAll(filepath.Dir(place), 0o700), os.WriteFile(place, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	get(t, c, s)
}

func TestGetNotThere(t *testing.T) {
	v := newVendor(t, map[string][]byte{})
	c := newCache(t)
	_, err := c.Get(t.Context(), v.source(true), nil)
	if err == nil || !strings.Contains(err.Error(), "404") || v.asked.Load() != 1 {
		t.Fatalf("got %v after %d requests, want the server's 404 after one", err, v.asked.Load())
	}
	wantNothing(t, c)
}

func TestGetFromMirror(t *testing.T) {
	files := map[string][]byte{}
	for path, text := range published(server(t, 100)) {
		files["/mirror/vendor.example"+path] = text
	}
	v := newVendor(t, files)
	c := newCache(t)
	c.Mirror = v.URL + "/mirror/"
	s := v.source(true)
	s.URL, s.Checksums = strings.Replace(s.URL, v.URL, "https://vendor.example", 1), strings.Replace(s.Checksums, v.URL, "https://vendor.example", 1)
	get(t, c, s)
	c.Mirror = "not a url"
	if err := c.Remove(t.Context(), "serve", "1.2"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), s, nil); err == nil || !strings.Contains(err.Error(), MirrorVariable) {
		t.Errorf("got %v, want an error that names %s", err, MirrorVariable)
	}
}

// elf is the head of a program for another processor.
func elf(machine byte) string {
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	head[18] = machine
	return string(head)
}

func TestGetWrongSystem(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the archive has Linux programs")
	}
	foreign, own := byte(0xb7), byte(0x3e)
	if runtime.GOARCH == "arm64" {
		foreign, own = own, foreign
	}
	v := newVendor(t, published(server(t, 100, "bin/tool", elf(foreign))))
	c := newCache(t)
	if _, err := c.Get(t.Context(), v.source(true), nil); !errors.Is(err, ErrWrongSystem) || !strings.Contains(err.Error(), "bin/tool") {
		t.Fatalf("got %v, want ErrWrongSystem that names bin/tool", err)
	}
	wantNothing(t, c)
	if runtime.GOARCH != "arm64" && runtime.GOARCH != "amd64" {
		return
	}
	both := newVendor(t, published(server(t, 100, "bin/tool", elf(foreign), "bin/z", elf(own))))
	get(t, c, both.source(true))
}

func TestInvalidSource(t *testing.T) {
	c := newCache(t)
	for _, s := range []Source{
		{Name: "..", Version: "1", URL: "http://x/a.zip"}, {Name: "a", Version: "../1", URL: "http://x/a.zip"}, {Name: "a", Version: "", URL: "http://x/a.zip"},
		{Name: "a", Version: "1", URL: "http://x/a.rar"}, {Name: "a", Version: "1", URL: "ftp://x/a.zip"},
	} {
		if _, err := c.Get(t.Context(), s, nil); err == nil {
			t.Errorf("%+v: want an error", s)
		}
	}
	wantNothing(t, c)
}
