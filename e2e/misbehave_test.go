package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// misdeed is an `up` that must fail, and what its error must say.
type misdeed struct {
	name string
	args []string
	want []string // regexps, in stderr
	code int
	// quoted is a regexp of a line of the failed node's log; kept says that logs are kept though none is quoted.
	quoted string
	kept   bool
	once   bool // for one version of the server
}

// fails runs an `up` that must fail: with its exit code, its words, nothing left behind, and the logs kept.
func (h *host) fails(m misdeed) {
	h.t.Helper()
	_, errs, code := h.run(append([]string{"up", "3", "--base", "auto"}, m.args...)...)
	if code != m.code {
		h.t.Errorf("exit %d, want %d", code, m.code)
	}
	want := m.want
	if m.quoted != "" {
		want = append(want, `(?m)^  \| .*`+m.quoted)
	}
	for _, expr := range want {
		if !regexp.MustCompile(expr).MatchString(errs) {
			h.t.Errorf("stderr lacks %q:\n%s", expr, errs)
		}
	}
	if m.kept || m.quoted != "" {
		kept, err := filepath.Glob(filepath.Join(h.home, "_failed", "default", "node2*"))
		if err != nil || len(kept) == 0 {
			h.t.Errorf("no log of node 2 was kept: %v %v", kept, err)
		}
	}
	h.nothingLeft()
	h.noneOf(h.home)
}

// TestMisbehavingServer: one of three nodes goes wrong. The error names it, the phase, and an excerpt of its log.
func TestMisbehavingServer(t *testing.T) {
	_, kinds := standIns(t)
	for _, e := range kinds {
		fault := func(kind, timeout string) []string {
			return []string{"-s", e.source, "--node", "2:env.STANDIN_FAULT=" + kind, "--timeout", timeout}
		}
		const node = `error: node emqx\d*2@127\.0\.0\.1, `
		const ready = node + "wait until it is ready: "
		for _, m := range []misdeed{
			{name: "exits at once", args: fault("exit-at-once", "60s"), want: []string{ready + "the process ended: exit code 1"}, quoted: "application_start_failure,emqx"},
			{name: "never listens", args: fault("never-listen", "15s"), want: []string{ready + "not done within 15s", `listener "mqtt"`}, kept: true, once: true},
			{name: "misses a listener", args: fault("missing-listener", "15s"), want: []string{ready + "not done within 15s", `listener "wss"`}, quoted: `\[error\] Failed to start`},
			{name: "never joins", args: fault("never-join", "15s"), want: []string{node + "wait until it sees 3 members: not done within 15s: it sees 1 ", `emqx\d*1@127.0.0.1 sees 2`}, quoted: "is running now!"},
			{name: "forks away", args: fault("fork-away", "60s"), want: []string{ready + "the process ended: exit code 0", `it left pid \d+ \(beam.smp\) in the background, and start.command must stay`}, kept: true},
			{name: "never joins by command", args: append(fault("never-join", "15s"), "--join", "command"), want: []string{node + "join: ", `Failed to join the cluster: \{node_down,'emqx\d*1@127`}, kept: true},
			{name: "bad host", once: true, args: []string{"-s", e.source, "--node", "2:env.EMQX_NODE__NAME=emqx@localhost", "--timeout", "15s"},
				want: []string{ready, `listener "dist"|not responding|not done within 15s|the process ended`}, kept: true},
			{name: "can't start", args: fault("nonsense", "60s"), want: []string{ready + "the process ended"}, quoted: `unknown fault`},
		} {
			if m.once && e.version != kinds[0].version {
				continue // the launcher does the same for all servers
			}
			t.Run(e.version+" "+m.name, func(t *testing.T) {
				t.Parallel()
				m.code = 1
				newHost(t).fails(m)
			})
		}
		if e.version == kinds[0].version {
			t.Run(e.version+" added node never joins", func(t *testing.T) { testAddedNeverJoins(t, e) })
		}
		t.Run(e.version+" joins a stranger", func(t *testing.T) { testJoinsStranger(t, e) })
		t.Run(e.version+" daemon", func(t *testing.T) { testDaemon(t, e) })
		t.Run(e.version+" ignores TERM", func(t *testing.T) { testIgnoresTerm(t, e) })
		t.Run(e.version+" a gigabyte of log", func(t *testing.T) { testChatty(t, e) })
		t.Run(e.version+" stranger", func(t *testing.T) { testEMQXStrangers(t, e) })
	}
}

// testAddedNeverJoins: the cluster is as it was when adding to it fails.
func testAddedNeverJoins(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	h.ok("up", "2", "-s", e.source, "--base", "auto", "-q")
	before := h.agree("default", 2)
	_, errs, code := h.run("up", "3", "--node", "3:env.STANDIN_FAULT=never-join", "--timeout", "4s")
	if code != 1 || !regexp.MustCompile(`node emqx\d*3@127\.0\.0\.1, wait until it sees 3 members`).MatchString(errs) {
		t.Errorf("add: exit %d\n%s", code, errs)
	}
	if _, err := os.Stat(h.dir("default", 3, e.template)); err == nil {
		t.Error("node 3 is left")
	}
	now := h.agree("default", 2)
	for i := range now.Nodes {
		if now.Nodes[i].PID != before.Nodes[i].PID {
			t.Errorf("node %d was restarted", i+1)
		}
	}
	h.downClean("default", now)
	h.noneOf(h.home)
}

// testJoinsStranger: a node with the seeds and the cookie of another cluster. That cluster has a node more than it knows of.
func testJoinsStranger(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	const cookie = "EMQX_NODE__COOKIE=shared"
	h.ok("-c", "one", "up", "3", "-s", e.source, "--base", "auto", "-e", cookie, "-q")
	one := h.agree("one", 3)
	seed, _, _ := strings.Cut(strings.TrimPrefix(h.ok("-c", "one", "ctl", "1", "--", "status"), "Node '"), "'")
	seeds := "EMQX_CLUSTER__STATIC__SEEDS=" + seed
	if e.version == "5.0" {
		seeds = `EMQX_CLUSTER__STATIC__SEEDS=["` + seed + `"]`
	}
	_, errs, code := h.run("-c", "two", "up", "2", "-s", e.source, "--base", "auto", "-e", cookie, "-e", seeds, "--timeout", "4s")
	if code != 1 || !strings.Contains(errs, "more than there are: it has joined another cluster") {
		t.Errorf("exit %d\n%s", code, errs)
	}
	if _, ok := h.status("two"); ok {
		t.Error("the cluster that joined a stranger is left")
	}
	h.downClean("one", one)
	h.noneOf(h.home)
}

const foreground = `command = ["{{.Dir}}/bin/emqx", "foreground"]`

// testDaemon: a start command that puts the node in the background. The daemon and its helpers are gone afterwards.
func testDaemon(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	tpl := changed(t, e.template, foreground, `command = ["{{.Dir}}/bin/emqx", "start"]`)
	h.fails(misdeed{args: []string{"-t", tpl, "-s", e.source}, code: 1,
		want: []string{`error: node emqx\d+@127\.0\.0\.1, (wait until it is ready|run as a member): the process ended: exit code 0`,
			`it left pid \d+ \(run_erl\) in the background, and start.command must stay`}})
}

// testIgnoresTerm: stop ends the node all the same, after the grace, and says so.
func testIgnoresTerm(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	tpl := changed(t, e.template, `grace = "30s"`, `grace = "200ms"`)
	h.ok("up", "3", "-t", tpl, "-s", e.source, "--base", "auto", "-e", "STANDIN_FAULT=ignore-term", "-q")
	st := h.agree("default", 3)
	_, errs, code := h.run("stop", "2")
	if code != 0 || !strings.Contains(errs, "stopped (killed: it had not ended 200ms after it was told to)") {
		t.Errorf("stop: exit %d\n%s", code, errs)
	}
	h.ok("start", "2", "-q")
	h.agree("default", 3)
	h.downClean("default", st)
	h.noneOf(h.home)
}

// testChatty: a node that writes without end takes a bounded part of the disk, and works.
func testChatty(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	h.ok("up", "2", "-s", e.source, "--base", "auto", "-e", "STANDIN_FAULT=chatty", "-q")
	st := h.agree("default", 2)
	const most = 2*(16<<20) + 64<<10 // of log and log.1
	rotated := filepath.Join(h.home, "default", "1", "node.log.1")
	first, deadline := os.FileInfo(nil), time.Now().Add(2*time.Minute)
	for turned := false; !turned; { // until it was rotated twice
		if time.Now().After(deadline) {
			t.Fatal("the log was not rotated")
		}
		fi, err := os.Stat(rotated)
		switch {
		case err != nil:
		case first == nil:
			first = fi
		default:
			turned = !os.SameFile(first, fi)
		}
		<-time.After(5 * time.Millisecond)
	}
	var size int64
	logs, err := filepath.Glob(filepath.Join(h.home, "default", "1", "node.log*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, log := range logs {
		if fi, err := os.Stat(log); err == nil {
			size += fi.Size()
		}
	}
	if size > most {
		t.Errorf("logs %v have %d bytes, want at most %d", logs, size, most)
	}
	h.downClean("default", st)
	h.noneOf(h.home)
}

// testEMQXStrangers: somebody takes a port of node 2 after the plan was made and before the server binds it. The server
// goes on without some of its listeners; the launcher does not.
func testEMQXStrangers(t *testing.T, e emqx) {
	for _, listener := range slices.Compact([]string{e.web, "dashboard", "dist", "mqtt"}) {
		t.Run(listener, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			gate := filepath.Join(t.TempDir(), "go")
			tpl := changed(t, e.template, foreground, fmt.Sprintf(
				`command = ["sh", "-c", "until [ -e %s ]; do sleep 0.01; done; exec \"$0\" foreground", "{{.Dir}}/bin/emqx"]`, gate))
			up := h.cmd("up", "3", "-t", tpl, "-s", e.source, "--base", "auto")
			var errs strings.Builder
			up.Stderr = &errs
			if err := up.Start(); err != nil {
				t.Fatal(err)
			}
			h.started("default", 3)
			st, _ := h.status("default")
			addr := st.Nodes[1].Listeners[listener]
			l, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := os.WriteFile(gate, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			_ = up.Wait()
			if code := up.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit %d, want 1", code)
			}
			_, port, _ := net.SplitHostPort(addr)
			for _, want := range []string{"error: node ", "wait until it is ready", fmt.Sprintf("listener %q", listener), ":" + port, fmt.Sprintf("pid %d", os.Getpid()), "--base auto"} {
				if !strings.Contains(errs.String(), want) {
					t.Errorf("stderr lacks %q:\n%s", want, errs.String())
				}
			}
			h.nothingLeft()
			h.noneOf(h.home)
		})
	}
}

// TestWrongTemplate: what is wrong with a template, a program or its version is reported before anything is made.
func TestWrongTemplate(t *testing.T) {
	const rest = "\n[node]\nname = \"n{{.NameIndex}}@{{.Host}}\"\n[listeners.a]\nport = 5000\n[start]\ncommand = [\"{{.Bin}}\"]\n"
	here, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"unknown key", "sumary = \"x\"\n[program]\ncommand = \"sh\"" + rest, []string{"line 1", "sumary"}},
		{"unknown name", "[program]\ncommand = \"sh\"\n[environment]\nA = \"{{.Nmae}}\"" + rest, []string{"line 4", "{{.Nmae}} is unknown here"}},
		{"missing program", "[program]\ncommand = \"no-such-server\"\ninstall = \"install it with care\"" + rest,
			[]string{`needs the program "no-such-server", which is not on PATH`, "hint: install it with care"}},
		{"wrong version", "[program]\ncommand = \"sh\"\nversion = [\"{{.Bin}}\", \"-c\", \"echo server v1.2; exit 3\"]\naccept = 'v[2-9]'" + rest,
			[]string{here + " -c", `says "server v1.2"`, `does not match "v[2-9]"`, "hint: name another program with --bin"}},
		{"version of nothing", "[program]\ncommand = \"sh\"\nversion = [\"/no/such/program\"]\naccept = 'v'" + rest, []string{"for its version", "/no/such/program"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			file := filepath.Join(t.TempDir(), "kvd.toml")
			if err := os.WriteFile(file, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, errs, code := h.run("up", "3", "-t", file, "--base", "auto")
			if code != 2 {
				t.Errorf("exit %d, want 2", code)
			}
			for _, want := range tt.want {
				if !strings.Contains(errs, want) {
					t.Errorf("stderr lacks %q:\n%s", want, errs)
				}
			}
			h.nothingLeft()
		})
	}
}
