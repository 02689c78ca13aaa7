package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asNode makes this test binary run as a node instead.
const asNode = "NODECLI_TEST_AS_NODE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asNode); dir != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		cmd := NodeCommand(Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
		cmd.SetArgs([]string{"run", "--dir", dir})
		code := Report(os.Stderr, cmd.ExecuteContext(ctx))
		stop()
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

const patience = 60 * time.Second

// process is a node in a process of its own.
type process struct {
	t       *testing.T
	dir     string
	name    string
	cluster string // address of the cluster port
	proc    *os.Process
}

// nodeDir makes the directory of a node with free ports.
func nodeDir(t *testing.T, part string) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir(), name: part + "@127.0.0.1"}
	ports := make([]string, 7)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all at once, so that they differ
		ports[i] = l.Addr().String()
	}
	p.cluster = ports[0]
	p.write(fmt.Sprintf("[node]\nname = %q\n[cluster]\nsecret = \"s\"\nbind = %q\n", p.name, p.cluster))
	for i, l := range []string{"mqtt", "mqtts", "ws", "wss", "http", "forward"} {
		p.write(fmt.Sprintf("[listeners.%s]\nbind = %q\n", l, ports[i+1]))
	}
	return p
}

// write appends to the node's configuration.
func (p *process) write(text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, "etc/node.toml")
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	f, ferr := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err := errors.Join(err, ferr); err != nil {
		p.t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		p.t.Fatal(err)
	}
}

// start runs the node and waits until it answers.
func (p *process) start() *process {
	p.t.Helper()
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	p.proc, err = os.StartProcess(self, []string{self}, &os.ProcAttr{
		Env: append(os.Environ(), asNode+"="+p.dir), Files: []*os.File{nil, log, log},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	proc := p.proc
	p.t.Cleanup(func() {
		// It may have ended already; both calls then say so, and that is all right.
		_ = proc.Kill()
		_, _ = proc.Wait()
	})
	p.eventually(func() error {
		if code, _, errs := p.ctl("cluster", "status"); code != 0 {
			return errors.New(errs)
		}
		return nil
	})
	return p
}

// end signals the process and returns its exit code.
func (p *process) end(sig syscall.Signal) int {
	p.t.Helper()
	if err := p.proc.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	state, err := p.proc.Wait()
	if err != nil {
		p.t.Fatal(err)
	}
	return state.ExitCode()
}

func (p *process) target() string {
	return p.name + strings.TrimPrefix(p.cluster, "127.0.0.1")
}

// ctl runs a control command against the node.
func (p *process) ctl(args ...string) (code int, out, errs string) {
	return runCtl(p.t, append([]string{"--dir", p.dir}, args...)...)
}

func runCtl(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = RunCtl(t.Context(), args, Streams{In: strings.NewReader(""), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

func (p *process) eventually(cond func() error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(p.dir, "log")) // for the message only
			p.t.Fatalf("gave up waiting: %v; log of %s:\n%s", err, p.name, log)
		}
	}
}

// shows waits until `cluster status` prints exactly this.
func (p *process) shows(want string) {
	p.t.Helper()
	p.eventually(func() error {
		if _, out, errs := p.ctl("cluster", "status"); out != "Cluster status: "+want+"\n" {
			return fmt.Errorf("%s prints %q %q, want %q", p.name, out, errs, want)
		}
		return nil
	})
}

const (
	bothRun = "[{running_nodes,['a@127.0.0.1','b@127.0.0.1']}]"
	onlyA   = "[{running_nodes,['a@127.0.0.1']}]"
	onlyB   = "[{running_nodes,['b@127.0.0.1']}]"
	bStop   = "[{running_nodes,['a@127.0.0.1']},{stopped_nodes,['b@127.0.0.1']}]"
)

// TestClusterByHand is the manual's way, with real processes.
func TestClusterByHand(t *testing.T) {
	a, b := nodeDir(t, "a").start(), nodeDir(t, "b").start()
	a.shows(onlyA)
	code, out, errs := b.ctl("cluster", "join", a.target())
	if code != 0 || out != "Join the cluster successfully.\nCluster status: "+bothRun+"\n" || errs != "" {
		t.Fatalf("join: %d %q %q", code, out, errs)
	}
	a.shows(bothRun)
	for _, again := range []string{a.target(), b.target(), b.name} {
		code, out, errs = b.ctl("cluster", "join", again)
		if code != 1 || out != "" || !strings.HasPrefix(errs, "Failed to join the cluster: ") {
			t.Errorf("join %s: %d %q %q", again, code, out, errs)
		}
	}

	b.end(syscall.SIGKILL)
	a.shows(bStop)
	b.start()
	a.shows(bothRun)
	b.shows(bothRun)

	if code := b.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code after TERM: %d", code)
	}
	a.shows(bStop)
	code, out, errs = a.ctl("cluster", "force-leave", b.name)
	if code != 0 || !strings.HasSuffix(out, "Cluster status: "+onlyA+"\n") {
		t.Errorf("force-leave: %d %q %q", code, out, errs)
	}
	b.start()
	b.shows(onlyB)
	a.shows(onlyA)

	if code, _, errs := b.ctl("cluster", "join", a.target()); code != 0 {
		t.Fatalf("join after force-leave: %s", errs)
	}
	code, out, _ = b.ctl("cluster", "leave", "--json")
	var left clusterJSON
	if err := json.Unmarshal([]byte(out), &left); err != nil || code != 0 || !slices.Equal(left.RunningNodes, []string{b.name}) {
		t.Errorf("leave --json: %d %q %v", code, out, err)
	}
	a.shows(onlyA)
	if code, _, errs := b.ctl("cluster", "leave"); code != 1 || !strings.HasPrefix(errs, "Failed to leave the cluster: ") {
		t.Errorf("leave alone: %d %q", code, errs)
	}
}

func TestFaultCommands(t *testing.T) {
	a := nodeDir(t, "a").start()
	tests := []struct {
		args string
		code int
		out  string
	}{
		{"fault list", 0, "no faults\n"},
		{"fault set b@127.0.0.1 --delay 5ms --drop 10% --direction out", 0, "to b@127.0.0.1: delayed by 5ms, 10% dropped\n"},
		{"fault set b@127.0.0.1", 2, ""},
		{"fault set b@127.0.0.1 --drop 101%", 2, ""},
		{"fault set b@127.0.0.1 --drop 0.5", 2, ""},
		{"fault set b --block", 1, ""},
		{"fault list", 0, "to b@127.0.0.1: delayed by 5ms, 10% dropped\n"},
		{"fault clear b@127.0.0.1", 0, "no faults\n"},
		{"fault list --json", 0, "{\"faults\":[]}\n"},
	}
	for _, tt := range tests {
		code, out, errs := a.ctl(strings.Fields(tt.args)...)
		if code != tt.code || out != tt.out || (code == 0) != (errs == "") {
			t.Errorf("%s: got %d %q %q, want %d %q", tt.args, code, out, errs, tt.code, tt.out)
		}
	}
}

func TestExitCodes(t *testing.T) {
	bad := nodeDir(t, "a")
	bad.write("[nonsense]\nx = 1\n")
	stopped := nodeDir(t, "a")
	tests := []struct {
		name string
		args []string
		code int
		errs string
	}{
		{"no node runs", []string{"--dir", stopped.dir, "cluster", "status"}, 1, "Failed to get the cluster's status: no node is running"},
		{"bad configuration", []string{"--dir", bad.dir, "cluster", "status"}, 2, "nonsense"},
		{"no such directory", []string{"--dir", "/nonexistent", "cluster", "status"}, 2, "/nonexistent"},
		{"no subcommand", []string{"cluster"}, 2, "needs a subcommand"},
		{"unknown subcommand", []string{"cluster", "jion"}, 2, "jion"},
		{"too few", []string{"cluster", "join"}, 2, "takes"},
		{"too many", []string{"cluster", "leave", "x"}, 2, "takes"},
		{"unknown flag", []string{"cluster", "status", "--x"}, 2, "ctl cluster status: unknown flag: --x: see ctl cluster status --help"},
		{"unknown command", []string{"--dir", "x", "nonsense"}, 2, `ctl has no subcommand "nonsense": see ctl --help`},
	}
	for _, tt := range tests {
		code, out, errs := runCtl(t, tt.args...)
		if code != tt.code || out != "" || !strings.Contains(errs, tt.errs) {
			t.Errorf("%s: got %d %q %q, want %d with %q", tt.name, code, out, errs, tt.code, tt.errs)
		}
	}
}

func TestCtlUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"--dir", "x"}, {"--dir", "x", "--help"}} {
		code, out, errs := runCtl(t, args...)
		if code != 0 || !strings.Contains(out, "\n  ctl [command]\n") || !strings.Contains(out, "  cluster ") || errs != "" {
			t.Errorf("%q: got %d %q %q, want the usage", args, code, out, errs)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, name := range []string{"onemore1", "a@localhost", "a b@127.0.0.1", "é@127.0.0.1"} {
		p := nodeDir(t, "a")
		path := filepath.Join(p.dir, "etc/node.toml")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Replace(raw, []byte(p.name), []byte(name), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		cmd := NodeCommand(Streams{Err: &errs})
		cmd.SetArgs([]string{"run", "--dir", p.dir})
		if code := Report(&errs, cmd.ExecuteContext(t.Context())); code != 2 || !strings.Contains(errs.String(), "node.name") {
			t.Errorf("name %q: got exit code %d and %q", name, code, errs.String())
		}
		if _, err := os.Stat(filepath.Join(p.dir, "data")); !os.IsNotExist(err) {
			t.Errorf("name %q: the refused node has made its data directory", name)
		}
	}
}

func TestCtlOwns(t *testing.T) {
	tests := map[string]bool{
		"cluster status": true, "--dir x cluster join a@b.c": true, "--dir=x --json cluster status": true, "fault list": true,
		"--dir x": true, "--dir x --help": true, "--json --dir=x nonsense": true,
		"2 -- cluster status": false, "": false, "--help": false, "onemore1@127.0.0.1 -- status": false, "-c cluster 2": false,
	}
	for args, want := range tests {
		if got := CtlOwns(strings.Fields(args)); got != want {
			t.Errorf("%q: got %v", args, got)
		}
	}
}
