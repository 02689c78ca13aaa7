package template

import (
	"cmp"
	"net/url"
	"path"
	"strings"
)

// Release says where a version of the server comes from: an archive that its vendor publishes.
type Release struct {
	URL       string `toml:"url"`       // text of ReleaseData: the archive
	Checksums string `toml:"checksums"` // text of ReleaseData: the file with the published digests; empty where there is none
	// Program is the slash path of the nodes' program in the archive. Empty: the archive is the node directory.
	Program string `toml:"program"`
	Page    string `toml:"page"` // the vendor's page that says so
	// Names are the vendor's words for {{.OS}}, {{.Arch}} and {{.Distribution}}, where they are not ours.
	Names map[string]string `toml:"names"`
	None  string            `toml:"none"` // in place of all this: why no archive can be had, and what to do
}

// ReleaseData is what the texts of [release] see.
type ReleaseData struct {
	Version             string
	OS                  string // "linux", "darwin", or what Names has for it; likewise the following two
	Arch                string // "amd64", "arm64", …
	Distribution        string // ID of /etc/os-release, such as "debian"; "" where there is none
	DistributionVersion string // its VERSION_ID, such as "12"
}

// Of returns the URLs of [release] of the template t for one version and system. d has the names as they are here.
func (r *Release) Of(t *Template, d ReleaseData) (archive, checksums string, err error) {
	named := func(name string) string { return cmp.Or(r.Names[name], name) }
	d.OS, d.Arch, d.Distribution = named(d.OS), named(d.Arch), named(d.Distribution)
	if archive, err = t.Expand(r.URL, d); err != nil {
		return "", "", err
	}
	checksums, err = t.Expand(r.Checksums, d)
	return archive, checksums, err
}

// sampleRelease is the data that the texts of [release] must expand for.
var sampleRelease = ReleaseData{Version: "1.2.3", OS: "linux", Arch: "amd64", Distribution: "debian", DistributionVersion: "12"}

func (t *checker) checkRelease() {
	r := &t.Release
	if r.URL == "" {
		if r.Checksums != "" || r.Program != "" || r.Page != "" || len(r.Names) > 0 {
			t.found.add("release.url", "is missing: the archive of a version, as a text of {{.Version}}")
		}
		return
	}
	if r.None != "" {
		t.found.add("release.none", "says that there is no archive, and release.url where it is; leave one of them out")
	}
	if r.Program != "" {
		checkRelative(t.found, "release.program", r.Program)
	}
	if r.Program == "" && t.Copy.Source == "none" {
		t.found.add("release.program", "is missing: nodes of this template copy no directory, so the archive can only bring their program")
	}
	if !strings.Contains(r.URL, ".Version") {
		t.found.add("release.url", "%q is the same for all versions; write {{.Version}} into it", r.URL)
	}
}

// checkReleaseURLs checks what the texts of [release] become, once they are parsed.
func (t *checker) checkReleaseURLs() {
	if t.Release.URL == "" {
		return
	}
	if t.Release.Program != "" && !t.ReadsProgram() {
		t.found.add("release.program", "no text reads {{.Bin}}, so nodes would not run it; leave it out where the archive is the node directory")
	}
	archive, checksums, err := t.Release.Of(t.Template, sampleRelease)
	if err != nil {
		return // reported with the text
	}
	for key, text := range map[string]string{"release.url": archive, "release.checksums": checksums} {
		if u, err := url.Parse(text); text != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || path.Base(u.Path) == "/") {
			t.found.add(key, "becomes %q, which is no URL of a file; it begins with https:// or http://", text)
		}
	}
}

// eachText calls visit for every text of [release].
func (r *Release) eachText(visit func(key string, where scope, src string)) {
	visit("release.url", inRelease, r.URL)
	visit("release.checksums", inRelease, r.Checksums)
}
