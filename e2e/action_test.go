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
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// action is action.yml as GitHub reads it.
type action struct {
	Inputs  map[string]struct{ Description, Default string }
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []actionStep
	}
}

type actionStep struct {
	ID, If, Uses, Shell, Run string
	WorkingDirectory         string `yaml:"working-directory"`
	Env, With                map[string]string
}

func readAction(t *testing.T) (a action) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repo, "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a
}

var (
	expression = regexp.MustCompile(`\$\{\{.*?\}\}`)
	reads      = regexp.MustCompile(`(inputs|steps\.[a-z]+\.outputs)\.([a-z-]+)`)
)

// TestActionFile: what action.yml reads of inputs and steps is there, and no input is pasted into a script, where its text would be run.
func TestActionFile(t *testing.T) {
	a := readAction(t)
	if a.Runs.Using != "composite" {
		t.Errorf("runs.using = %q", a.Runs.Using)
	}
	used := map[string]bool{}
	texts := []string{}
	for i, s := range a.Runs.Steps {
		if (s.Run == "") == (s.Uses == "") || (s.Run != "") != (s.Shell == "bash") {
			t.Errorf("step %d has neither or both of run and uses, or no shell", i)
		}
		if e := expression.FindString(s.Run); e != "" {
			t.Errorf("the script of step %s has an expression, %s", s.ID, e)
		}
		texts = append(texts, s.If, s.WorkingDirectory)
		for _, m := range []map[string]string{s.Env, s.With} {
			for _, v := range m {
				texts = append(texts, v)
			}
		}
	}
	for _, o := range a.Outputs {
		texts = append(texts, o.Value)
	}
	resolve := a.Runs.Steps[0]
	for _, read := range reads.FindAllStringSubmatch(strings.Join(texts, "\n"), -1) {
		used[read[2]] = true
		_, input := a.Inputs[read[2]]
		if read[1] == "inputs" && !input || read[1] != "inputs" && (read[1] != "steps.resolve.outputs" || !strings.Contains(resolve.Run, `echo "`+read[2]+`=`)) {
			t.Errorf("%s is read and nowhere set", read[0])
		}
	}
	for name := range a.Inputs {
		if !used[name] {
			t.Errorf("input %s is not used", name)
		}
	}
}

// runner is what GitHub gives the steps of an action.
type runner struct {
	t      *testing.T
	action action
	dir    string
	arch   string
	values map[string]string // of expressions
}

func newRunner(t *testing.T) *runner {
	t.Helper()
	need(t, "bash", "curl")
	source, err := filepath.Abs(repo)
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{t: t, action: readAction(t), dir: t.TempDir(), arch: "X64", values: map[string]string{
		"github.action_ref": "main", "github.action_path": source, "github.server_url": "https://github.com", "github.action_repository": "o/onemore"}}
	for name, in := range r.action.Inputs {
		r.values["inputs."+name] = in.Default
	}
	return r
}

// step runs the script of a step as GitHub does, and takes up its outputs.
func (r *runner) step(id string) (string, error) {
	r.t.Helper()
	i := slices.IndexFunc(r.action.Runs.Steps, func(s actionStep) bool { return s.ID == id })
	s := r.action.Runs.Steps[i]
	script, output := filepath.Join(r.dir, id+".sh"), filepath.Join(r.dir, "output")
	if err := os.WriteFile(script, []byte(s.Run), 0o600); err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", script)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "RUNNER_OS=Linux", "RUNNER_ARCH="+r.arch, "RUNNER_TEMP="+r.dir, "RUNNER_TOOL_CACHE="+filepath.Join(r.dir, "tools"),
		"GITHUB_OUTPUT="+output, "GITHUB_PATH="+filepath.Join(r.dir, "path"))
	for name, text := range s.Env {
		cmd.Env = append(cmd.Env, name+"="+expression.ReplaceAllStringFunc(text, r.value))
	}
	out, err := cmd.CombinedOutput()
	b, _ := os.ReadFile(output) // a step may have none
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		r.values["steps."+"resolve"+".outputs."+name] = value
	}
	return string(out), err
}

// value is what an expression stands for: a name, or the first of two that is not empty.
func (r *runner) value(text string) string {
	text = strings.TrimSpace(strings.Trim(text, "${}"))
	first, _, _ := strings.Cut(text, " || ")
	v, ok := r.values[first]
	if !ok {
		r.t.Fatalf("expression %q has no value", text)
	}
	return v
}

// must is step for one that must not fail.
func (r *runner) must(id string) string {
	r.t.Helper()
	out, err := r.step(id)
	if err != nil {
		r.t.Fatalf("step %s: %v\n%s", id, err, out)
	}
	return out
}

// downloads serves a release as GitHub does: an archive for amd64 with a program that tells its version, and the checksums.
func downloads(t *testing.T, version string, damaged bool) string {
	t.Helper()
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	w := tar.NewWriter(z)
	program := "#!/bin/sh\necho onemore " + version + "\n"
	name := "onemore_" + version + "_linux_amd64"
	if err := w.WriteHeader(&tar.Header{Name: name + "/onemore", Mode: 0o755, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(program)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	sums := fmt.Sprintf("%x  %s.tar.gz\n", sha256.Sum256(archive.Bytes()), name)
	if damaged {
		archive.WriteString("more than was published")
	}
	files := map[string]string{"/v" + version + "/" + name + ".tar.gz": archive.String(), "/v" + version + "/checksums.txt": sums}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if body, ok := files[q.URL.Path]; ok {
			_, _ = w.Write([]byte(body))
			return
		}
		http.NotFound(w, q)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestActionInstalls(t *testing.T) {
	for _, c := range []struct{ name, input, ref string }{{"by its tag", "", "v1.2.3"}, {"by the input", "v1.2.3", "main"}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRunner(t)
			r.values["github.action_ref"], r.values["inputs.version"], r.values["inputs.downloads"] = c.ref, c.input, downloads(t, "1.2.3", false)
			r.must("resolve")
			if out := r.must("install"); !strings.Contains(out, "onemore 1.2.3") {
				t.Errorf("install printed %q", out)
			}
			r.values["inputs.downloads"] = "http://127.0.0.1:1" // what is there is not fetched again
			r.must("install")
			b, err := os.ReadFile(filepath.Join(r.dir, "path"))
			if dir := r.values["steps.resolve.outputs.dir"]; err != nil || string(b) != dir+"\n"+dir+"\n" {
				t.Errorf("GITHUB_PATH has %q, %v; the program is in %s", b, err, dir)
			}
		})
	}
}

// TestActionRefuses: what is not what was published, or not there, or not for this runner, is not installed.
func TestActionRefuses(t *testing.T) {
	for _, c := range []struct{ name, version, arch, want string }{
		{"a damaged archive", "1.2.3", "X64", "is not what checksums.txt of 1.2.3 says"},
		{"a version that is not there", "9.9.9", "X64", "404"},
		{"an architecture without packages", "1.2.3", "ARM", "this runner is Linux-ARM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRunner(t)
			r.arch = c.arch
			r.values["inputs.version"], r.values["inputs.downloads"] = c.version, downloads(t, "1.2.3", true)
			out, err := r.step("resolve")
			if err == nil {
				out, err = r.step("install")
			}
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("the action ended with %v and printed %q, want %q", err, out, c.want)
			}
			if left, _ := filepath.Glob(filepath.Join(r.dir, "tools", "onemore", "*", "*")); len(left) > 0 {
				t.Errorf("installed: %q", left)
			}
		})
	}
}

// TestActionRuns: built from the action's own source, with a cluster beside a script, whose exit code is the step's.
func TestActionRuns(t *testing.T) {
	h := newHost(t)
	r := newRunner(t)
	r.must("resolve")
	if v := r.values["steps.resolve.outputs.version"]; !strings.HasPrefix(v, "source-") || !strings.Contains(r.must("install"), "onemore "+v) {
		t.Errorf("resolved version %q was not built", v)
	}
	t.Setenv("PATH", r.values["steps.resolve.outputs.dir"]+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("ONEMORE_HOME", h.home)
	r.values["inputs.nodes"], r.values["inputs.args"] = "2", "-t onemore --param *"
	if out, err := r.step("run"); err == nil || strings.Contains(out, "run.sh") {
		t.Errorf("arguments of the action were expanded by the shell: %v, %s", err, out)
	}
	r.values["inputs.args"] = "-t onemore"
	r.values["inputs.run"] = "onemore version\necho \"$ONEMORE_NODES: $ONEMORE_MQTT\"\nexit 7"
	out, err := r.step("run")
	if want := regexp.MustCompile(`(?m)^2: 127\.0\.0\.1:\d+,127\.0\.0\.1:\d+$`); err == nil || err.Error() != "exit status 7" || !want.MatchString(out) {
		t.Errorf("the script ended with %v and printed\n%s", err, out)
	}
	if _, err := os.Stat(r.values["steps.resolve.outputs.bundle"]); err != nil {
		t.Errorf("the logs of a script that failed: %v", err)
	}
}
