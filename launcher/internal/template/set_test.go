package template

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestSet(t *testing.T) {
	user := fstest.MapFS{"mine.toml": file(small), "both/template.toml": file("summary = \"the user's\"" + small), "notes.txt": file("x")}
	builtin := fstest.MapFS{
		"both/template.toml": file(small), "other/template.toml": file(small),
		"other/files/etc/x.conf": file("a = 1\n"), "other/files/bin/run": file("#!/bin/sh\n"), "empty/readme": file(""),
	}
	missing := os.DirFS(filepath.Join(t.TempDir(), "none"))
	set := NewSet(missing, user, builtin)
	names, err := set.Names()
	if got := strings.Join(names, " "); err != nil || got != "both mine other" {
		t.Errorf("names %q, %v", got, err)
	}
	if both, err := set.Open("both"); err != nil || both.Summary != "the user's" {
		t.Errorf("the user's template does not come first: %+v, %v", both, err)
	}
	other, err := set.Open("other")
	if err != nil || len(other.Own) != 2 || other.Own[0] != (File{Path: "bin/run", Text: "#!/bin/sh\n", Mode: "0755"}) || other.Own[1] != (File{Path: "etc/x.conf", Text: "a = 1\n", Mode: "0644"}) {
		t.Errorf("own files %+v, %v", other.Own, err)
	}
	for _, name := range []string{"none", "../both", "", ".", "both/template"} {
		_, err := set.Open(name)
		if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "both, mine, other") {
			t.Errorf("Open(%q): %v", name, err)
		}
	}
	user["broken.toml"] = file("x")
	all, err := set.All()
	if len(all) != 3 || err == nil || !strings.Contains(err.Error(), `"broken"`) {
		t.Errorf("%d templates, %v", len(all), err)
	}
}

func TestLoad(t *testing.T) {
	fsys := fstest.MapFS{"a/b/template.toml": file(small), "a/b/files/x": {Data: []byte{0xff}}, "template.toml": file("name = \"named\"" + small), "c.toml": file(small)}
	for path, want := range map[string]string{"template.toml": "named", ".": "named", "c.toml": "c"} {
		if tpl, err := Load(fsys, path); err != nil || tpl.Name != want {
			t.Errorf("Load(%q) = %+v, %v", path, tpl, err)
		}
	}
	if _, err := Load(fsys, "a/b"); err == nil || !strings.Contains(err.Error(), `file "x" is no text`) {
		t.Errorf("binary file: %v", err)
	}
	if _, err := Load(fsys, "nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing template: %v", err)
	}
	for arg, want := range map[string]bool{"nats": false, "./nats": true, "x.toml": true, "a/b": true, ".": true} {
		if IsPath(arg) != want {
			t.Errorf("IsPath(%q) = %v", arg, !want)
		}
	}
}

func TestFindIn(t *testing.T) {
	named := func(name, detect string) *Template {
		return mustParse(t, "name = \""+name+"\"\n"+small+"[detect]\n"+detect)
	}
	a := named("a", `files = ["bin/server*"]`)
	b := named("b", "files = [\"bin/server\"]\nmatch = [{ file = \"etc/v\", regexp = \"^5\" }]\npriority = 1")
	c := named("c", `files = ["bin/server"]`)
	silent := mustParse(t, small)
	dir := fstest.MapFS{"bin/server": file(""), "etc/v": file("5.0")}
	if got, err := FindIn([]*Template{silent, a, b}, dir); err != nil || got != b {
		t.Errorf("found %v, %v; want b by its priority", got, err)
	}
	dir["etc/v"] = file("4.4")
	if got, err := FindIn([]*Template{silent, a, b}, dir); err != nil || got != a {
		t.Errorf("found %v, %v; want a, since b's file says something else", got, err)
	}
	if _, err := FindIn([]*Template{a, c}, dir); !errors.Is(err, ErrUndetected) || !strings.Contains(err.Error(), "a or c; name the template with -t") {
		t.Errorf("two that fit: %v", err)
	}
	_, err := FindIn([]*Template{a, b, silent}, fstest.MapFS{"x": file("")})
	if !errors.Is(err, ErrUndetected) || !strings.Contains(err.Error(), `a (bin/server*), b (bin/server, etc/v with "^5")`) {
		t.Errorf("none that fits: %v", err)
	}
}

func TestDeclared(t *testing.T) {
	tpl := mustParse(t, small+`
[listeners.a]
port = 1
file = "etc/x.toml"
key = "listen.a"
[listeners.b]
port = 2
file = "etc/x.toml"
key = "listen.b"
[listeners.c]
port = 3
file = "etc/none.toml"
key = "c"
[listeners.d]
port = 4
file = "etc/x.toml"
key = "d"
`)
	c, err := tpl.ReadConfig(fstest.MapFS{"etc/x.toml": file("d = \"off\"\n[listen]\na = \"0.0.0.0:1883\"\nb = 99\n")}, "", nil)
	if err != nil || len(c.Listeners) != 2 || c.Listeners["a"].Port != 1883 || c.Listeners["b"].Port != 99 {
		t.Errorf("declared %v, %v", c, err)
	}
	if _, err := tpl.ReadConfig(fstest.MapFS{"etc/x.toml": file("= broken")}, "", nil); err == nil || !strings.Contains(err.Error(), "etc/x.toml") {
		t.Errorf("broken file: %v", err)
	}
	for value, want := range map[string]int{"1883": 1883, ":99": 99, "[::1]:7": 7, "tcp://h:80/": 80, "h": 0, "0": 0, "70000": 0, "": 0} {
		if got, ok := portIn(value); got != want && ok || ok != (want > 0) {
			t.Errorf("portIn(%q) = %d, %v", value, got, ok)
		}
	}
}
