package launcher

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"onemore/launcher/internal/archive"
	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/release"
	"onemore/launcher/internal/state"
	"onemore/launcher/internal/template"
)

// Release is a version of a server in the user's cache.
type Release = release.Release

// archiveRelease is the name under which the cache has archives that -s names: no template can be called so.
const archiveRelease = "source.archive"

// Releases lists the versions in the user's cache; with name, those of one template.
func Releases(name string) ([]Release, error) {
	cache, err := release.Default()
	if err != nil {
		return nil, err
	}
	all, err := cache.List()
	if name != "" {
		all = slices.DeleteFunc(all, func(r Release) bool { return r.Name != name })
	}
	return all, err
}

// RemoveRelease removes NAME@VERSION from the user's cache. One that a cluster was made from stays: its nodes run it, or those that
// are added will be made from it.
func RemoveRelease(ctx context.Context, which string) error {
	name, version, ok := strings.Cut(which, "@")
	if !ok {
		return &InputError{Err: fmt.Errorf("remove release %q: want NAME@VERSION", which), Hint: "`onemore releases` lists what there is"}
	}
	cache, err := release.Default()
	if err != nil {
		return err
	}
	all, err := cache.List()
	if err != nil {
		return err
	}
	for _, r := range all {
		if user := userOf(r); r.Name == name && r.Version == version && user != "" {
			return &InputError{Err: fmt.Errorf("release %s is used by cluster %q", which, user), Hint: "take it down first: `onemore -c " + user + " down`"}
		}
	}
	err = cache.Remove(ctx, name, version)
	if errors.Is(err, fs.ErrNotExist) {
		return &InputError{Err: err, Hint: "`onemore releases` lists what there is"}
	}
	return err
}

// userOf is the name of a cluster that was made from a release; "" if none was.
func userOf(r Release) string {
	names, _ := Names()
	home, err := state.Home()
	if err != nil {
		return ""
	}
	for _, name := range names {
		rec, err := cluster.ReadRecord(filepath.Join(home, name))
		if err != nil {
			continue
		}
		o := rec.Plan.Options
		paths := append(slices.Collect(maps.Values(o.Tools)), o.Source, o.Bin)
		for _, own := range o.Node {
			paths = append(paths, own.Source, own.Bin)
		}
		if slices.ContainsFunc(paths, func(p string) bool { return p == r.Dir || strings.HasPrefix(p, r.Dir+"/") }) {
			return name
		}
	}
	return ""
}

// splitVersion takes the version off a template that is given as NAME@VERSION.
func (o Options) splitVersion() (Options, error) {
	name, version, ok := strings.Cut(o.Template, "@")
	if !ok || template.IsPath(o.Template) {
		return o, nil
	}
	err := error(nil)
	switch {
	case version == "":
		err = fmt.Errorf("%s %s: a version was wanted behind the @", o.label("template"), o.Template)
	case o.Release != "" && o.Release != version:
		err = fmt.Errorf("%s %s and %s %s name two versions", o.label("template"), o.Template, o.label("release"), o.Release)
	}
	if err != nil {
		return o, &InputError{Err: err, Hint: "give one, such as -t " + name + "@1.2.3"}
	}
	o.Template, o.Release = name, version
	return o, nil
}

// overRelease drops what stands under a release, or under a program, that is set over it: both bring the program.
func (o Options) overRelease(under Options) (over, _ Options) {
	switch {
	case o.Release != "" || !template.IsPath(o.Template) && strings.Contains(o.Template, "@"):
		under.Bin, under.Release = "", ""
	case o.Bin != "":
		under.Release = ""
		if name, _, ok := strings.Cut(under.Template, "@"); ok && !template.IsPath(under.Template) {
			under.Template = name
		}
	}
	return o, under
}

func isURL(s string) bool { return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") }

// unpackSources replaces archives, and URLs of archives, that are named as node directories by the folders that they are unpacked
// to. Paths must be absolute.
func (o Options) unpackSources(ctx context.Context) (Options, error) {
	var err error
	if o.Source, err = unpackSource(ctx, o.Source, o.Progress); err != nil {
		return o, o.withPlace("source", err)
	}
	o.Nodes = maps.Clone(o.Nodes)
	for i, n := range o.Nodes {
		if n.Source, err = unpackSource(ctx, n.Source, o.Progress); err != nil {
			return o, o.withPlace(fmt.Sprintf("node.%d.source", i), err)
		}
		o.Nodes[i] = n
	}
	return o, nil
}

// unpackSource returns the folder in the cache of an archive, or of an archive's URL. What is no archive is returned as it is.
func unpackSource(ctx context.Context, source string, progress func(Event)) (string, error) {
	s := release.Source{Name: archiveRelease}
	if isURL(source) {
		s.URL = source
		s.Version = archiveVersion(source, source)
	} else {
		info, err := os.Stat(source)
		if err != nil || !info.Mode().IsRegular() || !archive.Is(source) {
			return source, nil
		}
		s.File = source
		s.Version = archiveVersion(source, fmt.Sprint(source, info.Size(), info.ModTime().UnixNano()))
	}
	r, err := getRelease(ctx, s, progress)
	if err != nil {
		return "", err
	}
	return r.Dir, nil
}

var notInVersion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^0-9A-Za-z._+~-]+`) })

// archiveVersion is under which version the cache has an archive: its name, and a digest of what it is known by.
func archiveVersion(path, identity string) string {
	sum := sha256.Sum256([]byte(identity))
	name := notInVersion().ReplaceAllString(archive.BaseName(path), "-")
	return fmt.Sprintf("%s-%x", strings.TrimLeft(name, "._+~-"), sum[:5])
}

// fetchReleases makes programs and node directories of the versions that the options name: what the template says that its
// releases hold.
func (o Options) fetchReleases(ctx context.Context, t *template.Template) (Options, error) {
	o.Nodes, o.fetched = maps.Clone(o.Nodes), map[string]string{}
	use := func(prefix, version string, source, bin *string) error {
		label := o.label(prefix + "release")
		what, err := useRelease(ctx, t, label, version, source, bin, o.Progress)
		if err != nil {
			return o.withPlace(prefix+"release", err)
		}
		o.fetched[prefix+what] = label
		return nil
	}
	if o.Release != "" {
		if err := use("", o.Release, &o.Source, &o.Bin); err != nil {
			return o, err
		}
		o.Release = ""
	}
	for _, i := range slices.Sorted(maps.Keys(o.Nodes)) {
		n := o.Nodes[i]
		if n.Release == "" {
			continue
		}
		if err := use(fmt.Sprintf("node.%d.", i), n.Release, &n.Source, &n.Bin); err != nil {
			return o, err
		}
		n.Release = ""
		o.Nodes[i] = n
	}
	return o, nil
}

// fetch makes a program or a node directory of the version, and a folder of the archive, that an upgrade names.
func (o UpgradeOptions) fetch(ctx context.Context, t *template.Template, progress func(Event)) (UpgradeOptions, error) {
	var err error
	if o.Source, err = unpackSource(ctx, o.Source, progress); err != nil || o.Release == "" {
		return o, err
	}
	_, err = useRelease(ctx, t, "--release", o.Release, &o.Source, &o.Bin, progress)
	return o, err
}

// useRelease fetches a version and sets source or bin, whichever the template's releases hold; what is the name of that.
func useRelease(ctx context.Context, t *template.Template, label, version string, source, bin *string, progress func(Event)) (what string, err error) {
	what, to := "source", source
	if t.Release.Program != "" {
		what, to = "bin", bin
	}
	if *to != "" {
		return "", &InputError{Err: fmt.Errorf("%s brings what --%s names, %s", label, what, *to), Hint: "leave one of them out"}
	}
	r, err := fetchRelease(ctx, t, version, progress)
	if err != nil {
		return "", err
	}
	if *to = filepath.Join(r.Dir, filepath.FromSlash(t.Release.Program)); t.Release.Program != "" {
		if err := checkProgram(*to, label); err != nil {
			return "", &InputError{Err: fmt.Errorf("%s %s holds no %s: %w", t.Name, version, t.Release.Program, err),
				Hint: "`onemore releases rm " + t.Name + "@" + r.Version + "` removes it; " + t.Release.Page + " says what a release is"}
		}
	}
	return what, nil
}

// fetchRelease returns a version of the template's server.
func fetchRelease(ctx context.Context, t *template.Template, version string, progress func(Event)) (*Release, error) {
	if t.Release.URL == "" {
		return nil, &InputError{Err: fmt.Errorf("template %q can't fetch version %s: %s", t.Name, version, cmp.Or(t.Release.None, "it has no [release]")),
			Hint: "name the program of that version with --bin, or its node directory with -s"}
	}
	if len(version) > 1 && version[0] == 'v' && version[1] >= '0' && version[1] <= '9' {
		version = version[1:]
	}
	s := release.Source{Name: t.Name, Version: version}
	d := template.ReleaseData{Version: version, OS: runtime.GOOS, Arch: runtime.GOARCH}
	text, _ := os.ReadFile("/etc/os-release") // none: this is no Linux distribution
	d.Distribution, d.DistributionVersion = distribution(text)
	var err error
	if s.URL, s.Checksums, err = t.Release.Of(t, d); err != nil {
		return nil, fmt.Errorf("template %q: %w", t.Name, err)
	}
	return getRelease(ctx, s, progress)
}

// getRelease brings a release into the user's cache.
func getRelease(ctx context.Context, s release.Source, progress func(Event)) (*Release, error) {
	if err := s.Valid(); err != nil {
		return nil, &InputError{Err: err, Hint: "give a version as its vendor writes it, or an archive"}
	}
	cache, err := release.Default()
	if err != nil {
		return nil, err
	}
	f := fetching{what: s.Name + " " + s.Version, report: progress}
	r, err := cache.Get(ctx, s, f.event)
	if err == nil || ctx.Err() != nil {
		return r, err
	}
	fail := &Failure{Why: err.Error(), Undone: true}
	if none, ok := errors.AsType[*release.UnreachableError](err); ok {
		fail.Hint = none.Hint()
	} else if _, ok := errors.AsType[*release.DigestError](err); ok {
		fail.Hint = "try again; if it stays so, ask whoever publishes it, or the server that " + release.MirrorVariable + " names"
	}
	return nil, fail
}

// distribution reads /etc/os-release.
func distribution(text []byte) (id, version string) {
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), "=")
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		switch name {
		case "ID":
			id = value
		case "VERSION_ID":
			version = value
		}
	}
	return id, version
}

// reportEvery is how often the progress of a fetch is an event.
const reportEvery = time.Second

// fetching turns the progress of a release into events.
type fetching struct {
	what   string
	report func(Event) // may be nil
	phase  string
	began  time.Time // of the phase
	last   time.Time // of the last event
	had    int64     // bytes that were there when the phase began
	bytes  int64
}

func (f *fetching) event(p release.Progress) {
	if f.report == nil {
		return
	}
	now := time.Now()
	if p.Phase != f.phase {
		if f.phase == "fetch" {
			f.report(Event{Time: now, Phase: "fetched", Text: fmt.Sprintf("%s: %s, %s", f.what, megabytes(f.bytes), f.rate(now))})
		}
		f.phase, f.began, f.last, f.had = p.Phase, now, now, p.Bytes
	}
	f.bytes = p.Bytes
	if now.Sub(f.last) < reportEvery {
		return
	}
	f.last = now
	text := f.what + ": " + megabytes(p.Bytes)
	if p.Total > 0 {
		text += " of " + megabytes(p.Total)
	}
	f.report(Event{Time: now, Phase: p.Phase, Text: text + ", " + f.rate(now)})
}

// rate is the speed of the phase so far.
func (f *fetching) rate(now time.Time) string {
	return megabytes(int64(float64(f.bytes-f.had)/max(now.Sub(f.began).Seconds(), 0.001))) + "/s"
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// besideOf returns the program of a template's tools that lies beside the server's own, as in a release; "" if there is none.
func besideOf(bin, tool string) string {
	path := filepath.Join(filepath.Dir(bin), tool)
	if bin == "" || checkProgram(path, "") != nil {
		return ""
	}
	return path
}
