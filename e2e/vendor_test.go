package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// vendor is a server with archives, under the hosts and paths of the real vendors: programs see it as their mirror.
type vendor struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte // by host and path
	asked map[string]int    // requests, alike
	cut   int               // so many answers break half way
}

// newVendor returns a server of releases, and a host whose commands ask it.
func newVendor(t *testing.T) (*vendor, *host) {
	t.Helper()
	v := &vendor{files: map[string][]byte{}, asked: map[string]int{}}
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	h := newHost(t)
	h.env = []string{"ONEMORE_MIRROR=" + v.URL, "XDG_CACHE_HOME=" + t.TempDir()}
	return v, h
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	v.mu.Lock()
	v.asked[path]++
	text, ok := v.files[path]
	cut := v.cut > 0 && len(text) > 1<<10
	if cut {
		v.cut--
	}
	v.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(text))))
	if cut {
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		_, _ = w.Write(text[:len(text)/2])
		panic(http.ErrAbortHandler)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// requests is how often a file was asked for.
func (v *vendor) requests(path string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked[path]
}

// put publishes an archive, with the file of its digest where sums names one.
func (v *vendor) put(path, sums string, text []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.files[path] = text
	if sums != "" {
		v.files[sums] = fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(text), filepath.Base(path))
	}
}

// github is the path of a file of a project's release.
func github(project, version, file string) string {
	return "github.com/" + project + "/releases/download/v" + version + "/" + file
}

// putNATS publishes the nats-server program as a version.
func (v *vendor) putNATS(t *testing.T, version, program string) (archive string) {
	top := fmt.Sprintf("nats-server-v%s-%s-%s", version, runtime.GOOS, runtime.GOARCH)
	archive = github("nats-io/nats-server", version, top+".tar.gz")
	v.put(archive, github("nats-io/nats-server", version, "SHA256SUMS"), gzipped(t, map[string]string{top + "/nats-server": program}))
	return archive
}

// putEtcd publishes the programs etcd and etcdctl as a version.
func (v *vendor) putEtcd(t *testing.T, version, etcd, etcdctl string) {
	top := fmt.Sprintf("etcd-v%s-%s-%s", version, runtime.GOOS, runtime.GOARCH)
	v.put(github("etcd-io/etcd", version, top+".tar.gz"), github("etcd-io/etcd", version, "SHA256SUMS"),
		gzipped(t, map[string]string{top + "/etcd": etcd, top + "/etcdctl": etcdctl}))
}

// tarred packs files and folders of this host under other names.
func tarred(t *testing.T, members map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, from := range members {
		err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Lstat(path)
			if err != nil {
				return err
			}
			link, _ := os.Readlink(path)
			head, err := tar.FileInfoHeader(info, link)
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(from, path)
			head.Name = filepath.Join(name, rel)
			if err := w.WriteHeader(head); err != nil || !info.Mode().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if err == nil {
				_, err = w.Write(text)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T, members map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // a level that is known
	_, err := z.Write(tarred(t, members))
	if cerr := z.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	return b.Bytes()
}
