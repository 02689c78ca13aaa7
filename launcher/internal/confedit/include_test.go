package confedit

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestIncludes(t *testing.T) {
	tests := []struct {
		format, src string
		want        []Include
	}{
		{"nats", "a: 1\ninclude ./x.conf\ncluster {\n  include 'y y.conf' # more\n}\n", []Include{{Path: "./x.conf", Line: 2}, {Path: "y y.conf", Line: 4, Table: []string{"cluster"}}}},
		{"hocon", "include \"x\"\na.b { include required(file(\"y.conf\")) }\ninclude url(\"http://h/\")\n",
			[]Include{{Path: "x", Line: 1, Optional: true}, {Path: "y.conf", Line: 2, Table: []string{"a", "b"}}, {Path: "http://h/", Line: 3, Optional: true, Remote: true}}},
		{"redis", "port 1\nInclude /etc/x.conf\ninclude \"a b\"\n", []Include{{Path: "/etc/x.conf", Line: 2}, {Path: "a b", Line: 3}}},
		{"ini", "[mysqld]\n!include /etc/x.cnf\n!includedir /etc/conf.d/\n", []Include{{Path: "/etc/x.cnf", Line: 2, Table: []string{"mysqld"}}, {Path: "/etc/conf.d/*.cnf", Line: 3, Table: []string{"mysqld"}}}},
		{"toml", "include = 'x'\n", nil},
	}
	for _, tt := range tests {
		got := mustRead(t, tt.format, tt.src).Includes()
		if !slices.EqualFunc(got, tt.want, func(a, b Include) bool {
			return a.Path == b.Path && a.Line == b.Line && slices.Equal(a.Table, b.Table) && a.Optional == b.Optional && a.Remote == b.Remote
		}) {
			t.Errorf("%s: got %+v\nwant %+v", tt.format, got, tt.want)
		}
	}
}

// dirOf makes a directory of files given as name and text.
func dirOf(files ...string) fstest.MapFS {
	dir := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		dir[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return dir
}

func TestFollow(t *testing.T) {
	tests := []struct {
		name, format string
		dir          fstest.MapFS // etc/main is the file
		want         []string     // key, file, value; file "" for a key that is not there
	}{
		{"the last wins", "nats", dirOf("etc/main", "port: 1\ninclude sub/x.conf\nhost: b\n", "etc/sub/x.conf", "port: 2\nhost: a\n"),
			[]string{"port", "etc/sub/x.conf", "2", "host", "etc/main", "b"}},
		{"in a block", "nats", dirOf("etc/main", "cluster { port: 1, include x\n name: c }\n", "etc/x", "port: 2\nname: d\n"),
			[]string{"cluster.port", "etc/x", "2", "cluster.name", "etc/main", "c"}},
		{"blocks don't merge", "nats", dirOf("etc/main", "a { x: 1, y: 1 }\ninclude x\nb { y: 2 }\n", "etc/x", "a { x: 2 }\nb { x: 1 }\n"),
			[]string{"a.x", "etc/x", "2", "a.y", "", "", "b.x", "", "", "b.y", "etc/main", "2"}},
		{"variables of an include", "nats", dirOf("etc/main", "include vars\nport: $PORT\n", "etc/vars", "PORT = 4300\n"), []string{"port", "etc/main", "4300"}},
		{"objects merge", "hocon", dirOf("etc/main", "a { x = 1, y = 1 }\ninclude \"x\"\na.y = 3\n", "etc/x", "a { x = 2, y = 2 }\n"),
			[]string{"a.x", "etc/x", "2", "a.y", "etc/main", "3"}},
		{"in an object", "hocon", dirOf("etc/main", "p = ${n.d}\nn { include \"x\" }\n", "etc/x", "d = data\n"), []string{"n.d", "etc/x", "data", "p", "etc/main", "data"}},
		{"from the working directory", "redis", dirOf("etc/main", "port 1\ninclude conf/*.conf\n", "conf/a.conf", "port 2\n", "conf/b.conf", "port 3\nsave \"\"\n"),
			[]string{"port", "conf/b.conf", "3", "save", "conf/b.conf", ""}},
		{"of an include", "ini", dirOf("etc/main", "[a]\nx=1\n[b]\n!include i\n", "etc/i", "[a]\nx=2\n!includedir d\n", "etc/d/1.cnf", "[a]\nx=3\n"), []string{"a.x", "etc/main", "1"}},
	}
	for _, tt := range tests {
		f, err := Follow(tt.dir, tt.format, "etc/main", nil)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if len(f.Unread()) > 0 {
			t.Errorf("%s: unread %+v", tt.name, f.Unread())
		}
		listed := map[string]Entry{}
		entries, err := f.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			listed[e.Key] = e
		}
		for i := 0; i < len(tt.want); i += 3 {
			key, file, value := tt.want[i], tt.want[i+1], tt.want[i+2]
			e, ok, err := f.Get(key)
			if err != nil || ok != (file != "") || e.File != file || e.Value != value {
				t.Errorf("%s: Get(%q) = %+v, %v, %v; want %q of %q", tt.name, key, e, ok, err, value, file)
			}
			if l := listed[key]; l != e && ok {
				t.Errorf("%s: List says %+v, Get %+v", tt.name, l, e)
			}
			if where, _, has, err := f.Where(key); where != file || has != ok || err != nil {
				t.Errorf("%s: Where(%q) = %q, %v", tt.name, key, where, err)
			}
		}
	}
	_, there, _, _ := must(Follow(tests[1].dir, "nats", "etc/main", nil)).Where("cluster.port")
	if there != "port" {
		t.Errorf("the key in the included file is %q", there)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestFollowUnread(t *testing.T) {
	dir := dirOf("etc/main", "include /etc/x\ninclude ../../y\ninclude z\ninclude ok\n", "etc/ok", "include ../../../w\n",
		"loop", "include loop\n", "broken", "include bad\n", "bad", "a: [\n")
	f, err := Follow(dir, "nats", "etc/main", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range f.Unread() {
		got = append(got, u.File+" "+u.Path+" "+u.Why)
	}
	want := "etc/main /etc/x it leads outside of the directory\netc/main ../../y it leads outside of the directory\n" +
		"etc/main z there is no such file\netc/ok ../../../w it leads outside of the directory"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if _, err := Follow(dir, "nats", "loop", nil); err == nil || !strings.Contains(err.Error(), "include each other") {
		t.Errorf("a loop: %v", err)
	}
	if _, err := Follow(dir, "nats", "broken", nil); err == nil || !strings.Contains(err.Error(), `"bad"`) || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a broken file: %v", err)
	}
}
