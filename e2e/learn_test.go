package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// learnable is a server that is learned from a small directory; %[1]d, %[2]d, … are its ports.
type learnable struct {
	name    string
	ports   int
	derived int // a further port is the first and this
	files   map[string]string
	command []string
	wrote   []string // patterns that the draft leaves out, among others
	keeps   []string // files that the server changes and nodes need
	fits    string   // a template that takes the directory for its own
	nodes   int      // with which the draft comes up, if not 3
}

func learnables() []learnable {
	return []learnable{
		{name: "mosquitto", ports: 2, command: []string{"mosquitto", "-c", "mosquitto.conf"}, wrote: []string{"data/mosquitto.db"}, files: map[string]string{
			"mosquitto.conf": "# two listeners\nuser root\nlistener %[1]d 127.0.0.1\nallow_anonymous true\nlistener %[2]d 127.0.0.1\nprotocol websockets\npersistence true\npersistence_location ./data/\n",
			"data/.keep":     ""}},
		{name: "redis-server", ports: 1, fits: "redis", derived: 10000, command: []string{"redis-server", "redis.conf"}, wrote: []string{"nodes.conf"}, files: map[string]string{
			"redis.conf": "port %[1]d\nbind 127.0.0.1\ndir .\ncluster-enabled yes\nappendonly yes\n"}},
		// It writes its config anew as it starts, and does not start without.
		{name: "redis-sentinel", ports: 1, command: []string{"redis-server", "sentinel.conf", "--sentinel"}, keeps: []string{"sentinel.conf"}, files: map[string]string{
			"sentinel.conf": "port %[1]d\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 1 1\n"}},
		{name: "nats-server", ports: 3, fits: "nats", command: []string{"nats-server", "-c", "nats.conf"}, files: map[string]string{
			"nats.conf": "listen: 127.0.0.1:%[1]d\nhttp: 127.0.0.1:%[2]d   # monitoring\ncluster { name: x, listen: \"127.0.0.1:%[3]d\" }\n"}},
		// One that no template exists for.
		{name: "nginx", ports: 2, command: []string{"nginx", "-p", ".", "-c", "nginx.conf"}, wrote: []string{"logs/*.log"}, files: map[string]string{
			"nginx.conf": "daemon off;\npid nginx.pid;\nerror_log stderr;\nevents { worker_connections 64; }\nhttp {\n  access_log logs/access.log;\n  client_body_temp_path tmp;\n" +
				"  server {\n    listen 127.0.0.1:%[1]d;\n    listen 127.0.0.1:%[2]d;\n    location / { return 200 'well'; }\n  }\n}\n",
			"logs/.keep": ""}},
	}
}

// TestLearn drafts templates of real servers, and brings up two nodes with each. A server that is not installed is
// skipped, unless ONEMORE_REQUIRE_SERVERS is set.
func TestLearn(t *testing.T) {
	for _, s := range learnables() {
		t.Run(s.name, func(t *testing.T) {
			need(t, s.command[0])
			if s.name == "mosquitto" && os.Getuid() != 0 {
				s.files["mosquitto.conf"] = strings.Replace(s.files["mosquitto.conf"], "user root\n", "", 1)
			}
			s.learn(t)
		})
	}
}

func (s learnable) learn(t *testing.T) {
	h := newHost(t)
	numbers := freeRow(t, s.ports, s.derived)
	dir, draft := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "draft.toml")
	for name, text := range s.files {
		if strings.Contains(text, "%[") {
			text = fmt.Sprintf(text, numbers...)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got struct {
		Listeners []struct {
			Port   int
			Proven bool
			Derive string
		}
		Wrote []string
		Nodes int
		Fits  string
	}
	if err := json.Unmarshal([]byte(h.ok(append([]string{"learn", dir, "-o", draft, "--json", "--"}, s.command...)...)), &got); err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(numbers)
	if s.derived != 0 {
		want = append(want, numbers[0].(int)+s.derived)
	}
	if len(got.Listeners) != len(want) {
		t.Errorf("learned %+v, want %v", got.Listeners, want)
	}
	for _, l := range got.Listeners {
		if !slices.Contains(want, any(l.Port)) || !l.Proven || (l.Derive != "") != !slices.Contains(numbers, any(l.Port)) {
			t.Errorf("learned %+v, want %v", l, want)
		}
	}
	for _, w := range s.wrote {
		if !slices.Contains(got.Wrote, w) {
			t.Errorf("left out is %q, want also %q", got.Wrote, w)
		}
	}
	for _, name := range s.keeps {
		if slices.Contains(got.Wrote, name) {
			t.Errorf("%s is left out: nodes don't start without it", name)
		}
	}
	if want := cmp.Or(s.nodes, 3); got.Nodes != want || got.Fits != s.fits {
		t.Errorf("the draft came up with %d nodes, want %d; the template that fits is %q, want %q", got.Nodes, want, got.Fits, s.fits)
	}
	h.ok("-c", "learned", "up", "2", "-t", draft, "-s", dir, "--base", "auto")
	st, ok := h.status("learned")
	if !ok || st.State != "running" || len(st.Nodes) != 2 || len(st.Nodes[0].Listeners) != len(want) {
		t.Errorf("status %+v", st)
	}
	h.downClean("learned", st)
	if out, errs, code := h.run("learn", dir, "-o", draft); code != 2 || !strings.Contains(errs, "is there already") {
		t.Errorf("a draft was replaced: exit %d\n%s%s", code, out, errs)
	}
}

// freeRow finds n ports in a row that are free, and so is the first and the given distance.
func freeRow(t *testing.T, n, derived int) []any {
	t.Helper()
	for base := 12000 + os.Getpid()%5000; base < 22000; base += 10 {
		var row []any
		all := []int{base + derived}
		for i := range n {
			row, all = append(row, base+i), append(all, base+i)
		}
		if !slices.ContainsFunc(all, taken) {
			return row
		}
	}
	t.Fatal("no free ports")
	return nil
}

func taken(port int) bool {
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return true
	}
	return ln.Close() != nil
}

// TestLearnKilled: what a learn that was killed leaves, gc removes.
func TestLearnKilled(t *testing.T) {
	h := newHost(t)
	dir, tmp := t.TempDir(), t.TempDir()
	script := "#!/bin/sh\nsleep 1000 & sleep 1000; :\n"
	if err := os.WriteFile(filepath.Join(dir, "start"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c := h.cmd("learn", dir)
	c.Env = append(c.Env, "TMPDIR="+tmp)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); len(marked("TMPDIR="+tmp)) < 4; { // learn, sh, and two sleeps
		if time.Now().After(deadline) {
			t.Fatalf("no node runs: %v", marked("TMPDIR="+tmp))
		}
		<-time.After(5 * time.Millisecond)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	gc := h.cmd("gc")
	gc.Env = append(gc.Env, "TMPDIR="+tmp)
	out, err := gc.Output()
	if err != nil || !strings.Contains(string(out), "removed "+filepath.Join(tmp, "onemore-learn-")) {
		t.Errorf("gc: %s, %v", out, err)
	}
	if l := left("TMPDIR=" + tmp); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
	if entries, err := os.ReadDir(tmp); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
