package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// field is a row of a table in docs/json.md.
type field struct {
	path *regexp.Regexp
	name string
	opt  bool
}

// documentedJSON reads the tables of docs/json.md, by their headings.
func documentedJSON(t *testing.T) map[string][]field {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repo, "docs", "json.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]field{}
	heading := ""
	names := regexp.MustCompile("`([^`]+)`")
	for line := range strings.Lines(string(text)) {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			heading = strings.TrimSpace(h)
		}
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.SplitN(line, "|", 4)
		for _, m := range names.FindAllStringSubmatch(cells[1], -1) {
			expr := strings.ReplaceAll(regexp.QuoteMeta(m[1]), `\*`, `[^.\[]+`)
			out[heading] = append(out[heading], field{regexp.MustCompile("^" + expr + "$"), m[1], strings.Contains(cells[2], "*opt*")})
		}
	}
	return out
}

// paths lists the paths of all scalars in a JSON value, and of empty lists.
func paths(prefix string, v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			out = append(out, paths(strings.TrimPrefix(prefix+"."+k, "."), x)...)
		}
	case []any:
		for _, x := range v {
			out = append(out, paths(prefix+"[]", x)...)
		}
	case nil:
		return []string{prefix + " is null"}
	default:
		return []string{prefix}
	}
	return out
}

// TestDocumentedJSON: what docs/json.md says of the JSON is there, and what is there it says.
func TestDocumentedJSON(t *testing.T) {
	docs := documentedJSON(t)
	h := newHost(t)
	plan := h.ok("up", "3", "--base", "auto", "--dry-run", "--json")
	h.ok("up", "3", "--base", "auto", "-q")
	faulty := h.ok("fault", "partition", "1", "/", "2", "--json")
	broken := h.ok("status", "--json")
	h.ok("fault", "heal", "-q")
	h.ok("kill", "2", "-q")
	events, err := os.ReadFile(filepath.Join(h.home, "default", "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	const status = "`status`, and every command that changes nodes"
	for _, tt := range []struct {
		heading string
		values  []string
		open    bool // there may be more than what is documented
	}{
		{status, []string{h.ok("status", "--json")}, false},
		{status, []string{broken}, false},
		{"`env`", []string{h.ok("env", "--json")}, false},
		{"`templates`", []string{h.ok("templates", "--json")}, false},
		{"`up --dry-run`", []string{plan}, true},
		{"`logs`", lines(h.ok("logs", "--json")), false},
		{"Events", lines(string(events)), false},
		{"`snapshot save`, `snapshot ls`", []string{h.ok("snapshot", "save", "s", "--json")}, false},
	} {
		if len(docs[tt.heading]) == 0 {
			t.Errorf("docs/json.md has no table under %q", tt.heading)
		}
		for _, text := range tt.values {
			checkJSON(t, tt.heading, docs[tt.heading], text, tt.open)
		}
	}
	var list []clusterStatus
	if err := json.Unmarshal([]byte(h.ok("ls", "--json")), &list); err != nil || len(list) != 1 || len(list[0].Nodes) != 3 {
		t.Errorf("ls: %v: %+v", err, list)
	}
	for _, want := range []string{`"text": "partition 1 / 2"`, `"links"`} {
		if !strings.Contains(faulty, want) {
			t.Errorf("fault prints %s", faulty)
		}
	}
	h.ok("snapshot", "rm", "s")
	h.ok("down", "-q")
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

func checkJSON(t *testing.T, heading string, docs []field, text string, open bool) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Errorf("%s: %v: %s", heading, err, text)
		return
	}
	got := paths("", v)
	for _, f := range docs {
		if !f.opt && !f.in(got) {
			t.Errorf("%s: docs/json.md has %s, the output has not:\n%s", heading, f.name, text)
		}
	}
	said := map[string]bool{}
	for _, p := range got {
		known := open
		for _, f := range docs {
			known = known || f.path.MatchString(p)
		}
		if !known && !said[p] {
			said[p] = true
			t.Errorf("%s: the output has %s, docs/json.md has not", heading, p)
		}
		if strings.HasSuffix(p, " is null") {
			t.Errorf("%s: %s", heading, fmt.Sprint(p))
		}
	}
}

func (f field) in(paths []string) bool {
	for _, p := range paths {
		if f.path.MatchString(p) {
			return true
		}
	}
	return false
}
