// Package release has versions of servers: it fetches an archive once, checks its digest, unpacks it into the user's cache, and
// from then on a version is a folder there.
//
// It knows nothing of templates: a Source is already expanded. It fetches nothing that it was not asked for by version, and
// runs nothing. What is in the cache is whole: a release appears there by one rename, after its digest was found to be the
// published one or, where none is published, the one that was recorded when it was first fetched.
//
// Start at Cache.Get. fetch.go has the transfer, digest.go how published digests are read.
package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"onemore/launcher/internal/archive"
	"onemore/launcher/internal/state"
)

// MirrorVariable names the environment variable with the server that is asked in place of all others: the URL of a file is then
// the mirror's, followed by the file's host and path.
const MirrorVariable = "ONEMORE_MIRROR"

// Source says where one version of a server comes from.
type Source struct {
	Name      string // the server's: a template's name
	Version   string
	URL       string // of the archive; its last element is the archive's file name
	File      string // in place of URL: an archive on this host, which stays where it is
	Checksums string // URL of the file with the published digests; "" where none are published
}

// Release is a version in the cache.
type Release struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Dir     string    `json:"dir"`     // the unpacked server; where the archive holds one folder and nothing beside it, that one
	URL     string    `json:"url"`     // or the path of an archive on this host
	Digest  string    `json:"digest"`  // "sha256:…" or "sha512:…" of the archive
	Checked bool      `json:"checked"` // the digest was published; otherwise it is what was fetched first
	Fetched time.Time `json:"fetched"`
	Bytes   int64     `json:"bytes"` // of the archive
}

// Progress is how far Get is.
type Progress struct {
	Phase string // "fetch", "check" or "unpack"
	Bytes int64  // done in this phase
	Total int64  // of "fetch", where the server sends it; else 0
}

// Cache is a folder of releases: NAME/VERSION-OS-ARCH/ holds the unpacked server and release.json,
// before that the archive. Several processes may
// use it at a time.
type Cache struct {
	Dir    string
	Mirror string       // see MirrorVariable; "" for none
	Client *http.Client // nil for http.DefaultClient
	Limits archive.Limits
}

// Default is the user's cache: $XDG_CACHE_HOME/onemore/releases, else ~/.cache/onemore/releases, with the mirror that the
// environment names.
func Default() (*Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the cache for releases: %w", err)
	}
	return &Cache{Dir: filepath.Join(dir, "onemore", "releases"), Mirror: os.Getenv(MirrorVariable)}, nil
}

const (
	treeFolder   = "tree"         // the unpacked server
	recordFile   = "release.json" // its presence says that the release is whole
	digestRecord = "digests.json" // digests as first fetched, of versions that were removed since too
)

// Get returns the release, which it fetches, checks and unpacks if it isn't in the cache. Of several calls at a time one works
// and the others wait for it. progress may be nil.
func (c *Cache) Get(ctx context.Context, s Source, progress func(Progress)) (*Release, error) {
	if err := s.Valid(); err != nil {
		return nil, err
	}
	if r, err := c.find(s); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	dir := c.dir(s)
	unlock, err := state.LockNewDir(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("fetch %s %s: %w", s.Name, s.Version, err)
	}
	defer func() { _ = unlock() }()
	if r, err := c.find(s); err == nil || !errors.Is(err, fs.ErrNotExist) { // another process was at it
		return r, err
	}
	r, err := c.make(ctx, s, progress)
	if err != nil {
		_ = os.Remove(dir)               // if nothing is in it
		_ = os.Remove(filepath.Dir(dir)) // alike
		return nil, fmt.Errorf("fetch %s %s: %w", s.Name, s.Version, err)
	}
	return r, nil
}

// make brings the release into its locked folder.
func (c *Cache) make(ctx context.Context, s Source, progress func(Progress)) (_ *Release, err error) {
	file := s.File
	if file == "" {
		if file, err = c.fetchArchive(ctx, s, progress); err != nil {
			return nil, err
		}
	}
	progress(Progress{Phase: "check"})
	digest, published, err := c.check(ctx, s, file)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if err := c.unpack(ctx, s, file, progress); err != nil {
		if ctx.Err() == nil && s.File == "" { // it would fail in the same way again, or takes the room that is missing
			err = errors.Join(err, os.Remove(file))
		}
		return nil, err
	}
	if s.File == "" {
		if err := os.Remove(file); err != nil {
			return nil, err
		}
	}
	root, err := rootOf(c.tree(s))
	if err != nil {
		return nil, err
	}
	r := &Release{Name: s.Name, Version: s.Version, Dir: root, URL: cmp.Or(s.URL, s.File), Digest: digest, Checked: published, Fetched: time.Now().UTC().Truncate(time.Second), Bytes: info.Size()}
	if err := state.WriteJSON(filepath.Join(c.dir(s), recordFile), r); err != nil {
		return nil, err
	}
	return r, nil
}

// unpack makes the release's tree, whole or not at all.
func (c *Cache) unpack(ctx context.Context, s Source, file string, progress func(Progress)) (err error) {
	if err := os.RemoveAll(c.tree(s)); err != nil { // of a process that ended before it wrote the record
		return err
	}
	temp, err := os.MkdirTemp(c.dir(s), treeFolder+".")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	o := archive.Options{Limits: c.Limits, Progress: func(n int64) { progress(Progress{Phase: "unpack", Bytes: n}) }}
	if err := archive.Unpack(ctx, file, temp, o); err != nil {
		return err
	}
	if err := CheckPrograms(temp); err != nil {
		return err
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	return os.Rename(temp, c.tree(s))
}

// rootOf is the folder of an unpacked archive in which the server is: see Release.Dir.
func rootOf(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) == 1 && entries[0].IsDir() {
		return filepath.Join(dir, entries[0].Name()), nil
	}
	return dir, err
}

// find returns the release if it is in the cache; the error wraps fs.ErrNotExist if it isn't.
func (c *Cache) find(s Source) (*Release, error) {
	return c.read(c.dir(s))
}

func (c *Cache) read(dir string) (*Release, error) {
	r := &Release{}
	if err := state.ReadJSON(filepath.Join(dir, recordFile), r); err != nil {
		return nil, err
	}
	var err error
	r.Dir, err = rootOf(filepath.Join(dir, treeFolder))
	return r, err
}

// List returns what is in the cache, ordered by name and version. A release of which nothing but the beginning is there is left
// out.
func (c *Cache) List() ([]Release, error) {
	records, err := filepath.Glob(filepath.Join(globLiteral(c.Dir), "*", "*", recordFile))
	if err != nil {
		return nil, err
	}
	var all []Release
	for _, path := range records {
		r, err := c.read(filepath.Dir(path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Release) int {
		return strings.Compare(a.Name+"\x00"+a.Version, b.Name+"\x00"+b.Version)
	})
	return all, nil
}

// Remove deletes a version from the cache, or what an interrupted fetch left of one. The error wraps fs.ErrNotExist if there is
// nothing.
func (c *Cache) Remove(ctx context.Context, name, version string) error {
	s := Source{Name: name, Version: version}
	if err := s.validName(); err != nil {
		return err
	}
	dir := c.dir(s)
	unlock, err := state.LockDir(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release %s %s is not in the cache %s: %w", name, version, c.Dir, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }()
	if err := os.Remove(filepath.Join(dir, recordFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove release %s %s: %w", name, version, err)
	}
	return nil
}

// dir is the folder of a release; which system it is for stands in it, since a home may be shared by machines.
func (c *Cache) dir(s Source) string {
	return filepath.Join(c.Dir, s.Name, s.Version+"-"+runtime.GOOS+"-"+runtime.GOARCH)
}

func (c *Cache) tree(s Source) string { return filepath.Join(c.dir(s), treeFolder) }

// file is the archive's place in the cache, where a user may put one by hand.
func (c *Cache) file(s Source, of string) string {
	return filepath.Join(c.dir(s), fileName(of))
}

// fileName is the last element of a URL's path.
func fileName(of string) string {
	if u, err := url.Parse(of); err == nil && u.Path != "" {
		return path.Base(u.Path)
	}
	return path.Base(of)
}

var safeName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._+~-]*$`) })

// Valid refuses what could not stand in a path or names no archive.
func (s *Source) Valid() error {
	if err := s.validName(); err != nil {
		return err
	}
	if from := cmp.Or(s.URL, s.File); !archive.Is(fileName(from)) {
		return fmt.Errorf("release %s %s: %s: %w", s.Name, s.Version, from, archive.ErrFormat)
	}
	return nil
}

func (s *Source) validName() error {
	switch {
	case !safeName().MatchString(s.Name):
		return fmt.Errorf("release of %q: the name may have letters, digits and . _ + ~ - only", s.Name)
	case !safeName().MatchString(s.Version):
		return fmt.Errorf("release %s: version %q may have letters, digits and . _ + ~ - only", s.Name, s.Version)
	}
	return nil
}

// globLiteral quotes a path for filepath.Glob.
func globLiteral(path string) string {
	return regexp.MustCompile(`[\\*?[]`).ReplaceAllString(path, `\$0`)
}
