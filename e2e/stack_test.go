package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// service builds the small web service and returns its path.
var service = sync.OnceValues(func() (string, error) {
	program, err := exec.LookPath("onemore") // in the folder that TestMain removes
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(program), "service")
	if out, err := exec.Command("go", "build", "-o", path, "./service").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the service: %w\n%s", err, out)
	}
	return path, nil
})

// stackFile is a project file with two clusters of the built-in server and a service that needs both; %s is the service.
const stackFile = `
stack = "shop"
base = "auto"
[env]
MQ = '{{(stack "mq").URLs "mqtt"}}'
[clusters.mq]
nodes = 2
[clusters.log]
nodes = 1
[clusters.api]
needs = ["mq", "log"]
command = [%q, "-listen", '{{.Addr "http"}}']
listeners.http = 28080
nodes = 2
ready = "/healthz"
env.MQ = '{{(stack "mq").Addrs "mqtt"}}'
env.PEERS = '{{range .Others}}{{.Name}} {{end}}'
`

// newStack writes a project file with the text, in which %q is the service, and returns the flags that name it.
func newStack(t *testing.T, text string) (*host, func(args ...string) []string) {
	t.Helper()
	path, err := service()
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	file := filepath.Join(t.TempDir(), "onemore.toml")
	if strings.Contains(text, "%q") {
		text = fmt.Sprintf(text, path)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return h, func(args ...string) []string { return append([]string{args[0], "--project", file}, args[1:]...) }
}

type stackStatus struct {
	Stack    string `json:"stack"`
	State    string `json:"state"`
	Clusters []struct {
		Cluster string `json:"cluster"`
		clusterStatus
	} `json:"clusters"`
}

func decodeStack(t *testing.T, out string) stackStatus {
	t.Helper()
	var st stackStatus
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return st
}

// get is the answer of an HTTP request.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestStack takes a stack through its life: all of it, one cluster of it, and a member that comes to a cluster that another one reads.
func TestStack(t *testing.T) {
	h, with := newStack(t, stackFile)
	st := decodeStack(t, h.ok(with("up", "--json", "-q")...))
	if st.Stack != "shop" || st.State != "running" || len(st.Clusters) != 3 || st.Clusters[2].Cluster != "shop.api" || len(st.Clusters[2].Nodes) != 2 {
		t.Fatalf("got %+v", st)
	}
	var env map[string]string
	if err := json.Unmarshal([]byte(h.ok(with("env", "--json")...)), &env); err != nil {
		t.Fatal(err)
	}
	first := "http://" + env["ONEMORE_API_1_HTTP"]
	if got := get(t, first+"/env?MQ"); got != env["ONEMORE_MQ_MQTT"] || strings.Count(got, ",") != 1 {
		t.Errorf("the service has %q, the environment %q", got, env["ONEMORE_MQ_MQTT"])
	}
	if env["MQ"] != env["ONEMORE_MQ_MQTT_URL"] || !strings.HasPrefix(env["MQ"], "mqtt://") || env["ONEMORE_API_2_HTTP_URL"] != "http://"+env["ONEMORE_API_2_HTTP"] {
		t.Errorf("environment %v", env)
	}
	h.ok(with("add", "-c", "mq", "-q")...)
	if got := get(t, first+"/env?MQ"); strings.Count(got, ",") != 2 {
		t.Errorf("after an add the service has %q", got)
	}
	before := decodeStack(t, h.ok(with("status", "--json")...)).Clusters[2].Nodes[0].PID
	h.ok(with("add", "-c", "log", "-q")...)
	if after := decodeStack(t, h.ok(with("status", "--json")...)).Clusters[2].Nodes[0].PID; after != before {
		t.Error("a service was restarted that reads nothing of what changed")
	}
	h.ok(with("remove", "3", "-c", "mq", "-q")...)
	if got := get(t, first+"/env?MQ"); strings.Count(got, ",") != 1 {
		t.Errorf("after a remove the service has %q", got)
	}
	h.ok(with("up", "3", "-c", "api", "-q")...)
	if got := get(t, first+"/env?PEERS"); got != "shop.api-2 shop.api-3 " {
		t.Errorf("its peers are %q", got)
	}
	if st := decodeStack(t, h.ok(with("stop", "--json", "-q")...)); st.State != "stopped" {
		t.Errorf("stopped: %s", st.State)
	}
	if st := decodeStack(t, h.ok(with("start", "--json", "-q")...)); st.State != "running" {
		t.Errorf("started: %s", st.State)
	}
	if logs := h.ok(with("logs")...); !strings.Contains(logs, "\nmq/1 | ") || !strings.Contains(logs, "log/1 | ") {
		t.Errorf("logs %q", logs)
	}
	if _, errs, code := h.run(with("kill", "1")...); code != 2 || !strings.Contains(errs, "name one with -c: mq, log, api") && !strings.Contains(errs, "name one with -c: log, mq, api") {
		t.Errorf("kill: exit %d, %s", code, errs)
	}
	file := filepath.Join(t.TempDir(), ".env")
	h.ok(with("env", "-o", file)...)
	if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), "ONEMORE_STACK=shop\n") {
		t.Errorf("%s, %v", b, err)
	}
	h.ok("down", "--stack", "shop")
	h.nothingLeft()
}

// TestStackCopies: two copies of a stack live side by side, one of them a run's.
func TestStackCopies(t *testing.T) {
	h, with := newStack(t, stackFile)
	h.ok(with("up", "-q")...)
	h.ok(with("up", "-q", "--stack", "other")...)
	out := h.ok(append(with("run"), "--", "sh", "-c", "echo $ONEMORE_STACK $MQ && onemore ls | grep -c ' running '")...)
	if !strings.HasPrefix(out, "run-") || !strings.HasSuffix(out, "\n9\n") {
		t.Errorf("got %q", out)
	}
	if st := decodeStack(t, h.ok(with("status", "--json")...)); st.State != "running" || len(st.Clusters) != 3 {
		t.Errorf("the first copy is %+v", st)
	}
	h.ok(with("down", "-q", "--stack", "other")...)
	h.ok(with("down", "-q")...)
}

// TestStackFails: when a cluster of a stack fails, all that the `up` made is undone, and the error names the cluster.
func TestStackFails(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"never starts": {`command = [%q, "-listen", '{{.Addr "http"}}']`, `command = ["sh", "-c", "echo no luck; exit 3"]`, "cluster api: node shop.api-"},
		"no template":  {"[clusters.log]\n", "[clusters.log]\ntemplate = \"nothing\"\n", "clusters.log.template: unknown template \"nothing\""},
		"build":        {"nodes = 2\nready", "build = \"echo no compiler; exit 7\"\nnodes = 2\nready", "cluster api: build: \"echo no compiler; exit 7\" exits with 7"},
		"a text":       {`{{.Name}}`, `{{(stack "x").Nodes}}`, `cluster api: plan node 1: `},
		"circle":       {"[clusters.log]\n", "[clusters.log]\nneeds = [\"api\"]\n", "a circle, in which none can be the first: api needs log needs api"},
		"no such":      {`needs = ["mq", "log"]`, `needs = ["mq", "lag"]`, `the stack has no cluster "lag"; it has api, log, mq`},
		"env":          {`MQ = '{{(stack "mq")`, `MQ = '{{(stack "mc")`, `the stack has no cluster "mc"`},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(stackFile, c.old) {
				t.Fatal("nothing to replace")
			}
			h, with := newStack(t, strings.Replace(stackFile, c.old, c.new, 1))
			_, errs, code := h.run(with("up", "-q")...)
			if code == 0 || !strings.Contains(errs, c.want) {
				t.Errorf("exit %d, %s; want %q", code, errs, c.want)
			}
			h.nothingLeft()
		})
	}
}

// TestStackFailsBesideOthers: what was there before an `up` that fails stays as it was.
func TestStackFailsBesideOthers(t *testing.T) {
	h, with := newStack(t, strings.Replace(stackFile, `command = [%q, "-listen", '{{.Addr "http"}}']`, `command = ["false"]`, 1))
	h.ok(with("up", "1", "-c", "mq", "-q")...)
	if _, errs, code := h.run(with("up", "-q")...); code != 1 || !strings.Contains(errs, "cluster api: ") {
		t.Errorf("exit %d, %s", code, errs)
	}
	st := decodeStack(t, h.ok(with("status", "--json")...))
	if len(st.Clusters) != 1 || len(st.Clusters[0].Nodes) != 1 || st.State != "running" {
		t.Errorf("left is %+v", st)
	}
	h.ok(with("down", "-q")...)
}

// fiveFile is a stack of five clusters, two of which wait for others.
const fiveFile = `
stack = "five"
base = "auto"
[clusters.a]
nodes = 1
[clusters.b]
nodes = 2
[clusters.c]
nodes = 1
[clusters.d]
needs = ["a"]
nodes = 1
[clusters.e]
needs = ["b", "d"]
nodes = 1
`

// TestKillStackUp: when the command is killed while five clusters come up, at whatever moment, nothing is left: not even what had formed.
func TestKillStackUp(t *testing.T) {
	h, with := newStack(t, fiveFile)
	began := time.Now()
	h.ok(with("up", "-q")...)
	took := time.Since(began)
	h.ok(with("down", "-q")...)
	for range crashes {
		up := h.cmd(with("up", "-q")...)
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		<-randomMoment(took)
		_ = up.Process.Kill()
		if up.Wait() == nil {
			h.ok(with("down", "-q")...) // it was done before
		}
		h.until("nothing is left", func() bool { return len(leftovers(h.home)) == 0 })
	}
}

// TestInterruptStackUp: Ctrl-C at any moment of an `up` leaves the whole stack, or nothing.
func TestInterruptStackUp(t *testing.T) {
	h, with := newStack(t, fiveFile)
	began := time.Now()
	h.ok(with("up", "-q")...)
	took := time.Since(began)
	h.ok(with("down", "-q")...)
	for range crashes {
		up := h.cmd(with("up", "-q")...)
		var errs strings.Builder
		up.Stderr = &errs
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		<-randomMoment(took)
		_ = up.Process.Signal(os.Interrupt)
		err := up.Wait()
		if err == nil {
			if st := decodeStack(t, h.ok(with("status", "--json")...)); st.State != "running" || len(st.Clusters) != 5 {
				t.Errorf("done, and the stack is %+v", st)
			}
			h.ok(with("down", "-q")...)
			continue
		}
		if code := up.ProcessState.ExitCode(); code != 130 && code != -1 {
			t.Errorf("exit %d: %s", code, errs.String())
		}
		h.until("nothing is left", func() bool { return len(leftovers(h.home)) == 0 })
	}
}

// TestStackNodeDies: a node that ends while another cluster of the stack still comes up fails the `up`, and all is undone.
func TestStackNodeDies(t *testing.T) {
	dir, gate := slowTemplate(t)
	h, with := newStack(t, fmt.Sprintf("stack = \"shop\"\nbase = \"auto\"\n[clusters.api]\ncommand = [%%q, \"-listen\", '{{.Addr \"http\"}}']\nlisteners.http = 28080\nready = \"/healthz\"\n"+
		"[clusters.slow]\nneeds = [\"api\"]\nnodes = 1\ntemplate = %q\n", dir))
	up := h.cmd(with("up", "-q")...)
	var errs strings.Builder
	up.Stderr = &errs
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	h.until("the cluster has formed", func() bool {
		st, ok := h.status("shop.api")
		return ok && st.State == "running" && len(st.Nodes) == 3
	})
	h.started("shop.slow", 1)
	h.ok("kill", "2", "-c", "shop.api", "-q")
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := up.Wait(); err == nil || !strings.Contains(errs.String(), "cluster api: node shop.api-2, run until the stack is up") {
		t.Errorf("%v: %s", err, errs.String())
	}
	h.nothingLeft()
}

// TestStackSnapshot: a stack comes back from its snapshot.
func TestStackSnapshot(t *testing.T) {
	h, with := newStack(t, stackFile)
	h.ok(with("up", "-q")...)
	save := with("snapshot")
	h.ok("snapshot", "save", "one", save[1], save[2])
	h.ok(with("down", "-q")...)
	h.nothingLeft()
	if st := decodeStack(t, h.ok(with("up", "--from", "one", "--json", "-q")...)); st.State != "running" || len(st.Clusters) != 3 {
		t.Errorf("came back as %+v", st)
	}
	h.ok(with("down", "-q")...)
	h.ok("snapshot", "rm", "one.mq", "one.log", "one.api")
}
