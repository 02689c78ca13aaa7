package nodecore

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onemore/nodecore/internal/member"
)

func TestOpenServesEveryListener(t *testing.T) {
	n := open(t, testConfig(t, "a"))
	<-n.Ready()
	s := n.Status()
	for _, name := range []string{"mqtt", "mqtts", "ws", "wss", "http", "forward", "cluster"} {
		conn, err := net.Dial("tcp", s.Listeners[name])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		conn.Close()
	}
	if s.Members != 1 || s.Name != "a@127.0.0.1" || len(s.StoppedNodes) != 0 {
		t.Errorf("status: %+v", s)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Error("second close:", err)
	}
	<-n.Done()
}

func TestListenerOff(t *testing.T) {
	c := testConfig(t, "a")
	c.Listeners.HTTP.Enabled = false
	c.Listeners.WSS.Bind = ""
	n := open(t, c)
	if n.Addr("http") != "" || n.Addr("wss") != "" || n.Addr("mqtt") == "" {
		t.Errorf("listeners: %v", n.Status().Listeners)
	}
}

func TestOpenRefuses(t *testing.T) {
	first := testConfig(t, "a")
	n := open(t, first)
	sameDir := testConfig(t, "a")
	sameDir.Dir = first.Dir
	samePorts := testConfig(t, "b")
	samePorts.Listeners.MQTT.Bind, samePorts.Listeners.WS.Bind = n.Addr("mqtt"), n.Addr("ws")
	badName := testConfig(t, "a b")
	tests := []struct {
		name string
		c    Config
		want []string
	}{
		{"directory in use", sameDir, []string{"another process uses it"}},
		{"ports in use, both named", samePorts, []string{n.Addr("mqtt"), n.Addr("ws"), `"mqtt"`, `"ws"`}},
		{"bad name", badName, []string{"a b@127.0.0.1"}},
	}
	for _, tt := range tests {
		_, err := Open(t.Context(), tt.c)
		if err == nil {
			t.Errorf("%s: opened", tt.name)
			continue
		}
		for _, w := range tt.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", tt.name, err, w)
			}
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	other := first
	other.Node.Name = "z@127.0.0.1"
	_, err := Open(t.Context(), other)
	if _, ok := errors.AsType[*member.NameError](err); !ok {
		t.Errorf("start under another name: got %v", err)
	}
}

func TestHTTP(t *testing.T) {
	a, b := open(t, testConfig(t, "a")), open(t, testConfig(t, "b"))
	if err := b.Join(t.Context(), target(a)); err != nil {
		t.Fatal(err)
	}
	var s Status
	get(t, a, "/status", &s)
	if s.Members != 2 || short(s.RunningNodes) != "a b" {
		t.Errorf("/status: %+v", s)
	}
	var nodes struct{ Nodes []nodeInfo }
	get(t, a, "/api/v1/nodes", &nodes)
	if len(nodes.Nodes) != 2 || nodes.Nodes[1].Name != "b@127.0.0.1" || nodes.Nodes[1].State != "running" ||
		nodes.Nodes[1].Forward != b.Addr("forward") {
		t.Errorf("/api/v1/nodes: %+v", nodes)
	}
	metrics := string(fetch(t, a, "GET", "/metrics", http.StatusOK))
	for _, want := range []string{"\nonemore_members_running 2\n", "# TYPE onemore_members_running gauge\n", "\nonemore_mqtt_connections 0\n"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %q:\n%s", want, metrics)
		}
	}
	fetch(t, a, "POST", "/status", http.StatusMethodNotAllowed)
	fetch(t, a, "GET", "/nothing", http.StatusNotFound)
}

func get(t *testing.T, n *Node, path string, into any) {
	t.Helper()
	if err := json.Unmarshal(fetch(t, n, "GET", path, http.StatusOK), into); err != nil {
		t.Errorf("%s: %v", path, err)
	}
}

func fetch(t *testing.T, n *Node, method, path string, want int) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.Addr("http")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want {
		t.Errorf("%s %s: got status %d, want %d", method, path, resp.StatusCode, want)
	}
	return body
}

// Garbage on every port leaves the node as it was.
func TestGarbageOnEveryListener(t *testing.T) {
	a, b := open(t, testConfig(t, "a")), open(t, testConfig(t, "b"))
	if err := b.Join(t.Context(), target(a)); err != nil {
		t.Fatal(err)
	}
	junk := []string{
		"", "\x00", "\xff\xff\xff\xff\xff\xff", "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 100_000) + "\r\n\r\n",
		"GET /status HTTP/1.1\r\n", strings.Repeat("\x10\xff\xff\xff\x7f", 1000), strings.Repeat("z", 200_000),
		"\x16\x03\x01\x02\x00\x01", "POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nabc",
	}
	for name, addr := range a.Status().Listeners {
		for _, j := range junk {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := io.WriteString(conn, j); err != nil {
				t.Logf("%s: %v", name, err) // the node may have hung up already
			}
			conn.Close()
		}
	}
	got := subscribe(t, b, "s", "x")
	if err := done(client(t, a, "p").Publish("x", 1, false, "still here")); err != nil {
		t.Fatal(err)
	}
	receive(t, got, "x still here")
	sees(t, a, "a b", "")
}

func TestControl(t *testing.T) {
	c := testConfig(t, "a")
	c.Dir = filepath.Join(c.Dir, strings.Repeat("long/", 30)) // longer than a socket's path may be
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	n := open(t, c)
	reply, err := Control(t.Context(), c.dataDir(), ControlRequest{Op: OpStatus})
	if err != nil || reply.Status == nil || reply.Status.Name != "a@127.0.0.1" {
		t.Fatalf("status: got %+v, %v", reply, err)
	}
	for _, r := range []ControlRequest{
		{Op: "nonsense"}, {Op: OpJoin, Target: "x"}, {Op: OpJoin, Target: "a@127.0.0.1"}, {Op: OpLeave},
		{Op: OpForceLeave, Target: "b@127.0.0.1"}, {Op: OpFaultSet, Fault: Fault{Peer: "x"}},
		{Op: OpFaultSet, Fault: Fault{Peer: "b@127.0.0.1", Direction: "up", Block: true}},
	} {
		reply, err := Control(t.Context(), c.dataDir(), r)
		if err != nil || reply.Error == "" {
			t.Errorf("%+v: got %+v, %v; want an error of the node", r, reply, err)
		}
	}
	fault := Fault{Peer: "b@127.0.0.1", Direction: "out", Delay: time.Second, Drop: 0.5}
	reply, err = Control(t.Context(), c.dataDir(), ControlRequest{Op: OpFaultSet, Fault: fault})
	if err != nil || len(reply.Faults) != 1 || reply.Faults[0] != fault {
		t.Errorf("set fault: got %+v, %v", reply, err)
	}
	reply, err = Control(t.Context(), c.dataDir(), ControlRequest{Op: OpFaultClear})
	if err != nil || len(reply.Faults) != 0 {
		t.Errorf("clear faults: got %+v, %v", reply, err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Control(t.Context(), c.dataDir(), ControlRequest{Op: OpStatus})
	if _, ok := errors.AsType[*NotRunningError](err); !ok {
		t.Errorf("control of a stopped node: got %v", err)
	}
}

// The supervisor hears that the node is ready, and of every change of members.
func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	a := open(t, testConfig(t, "a"))
	hears(t, conn, "READY=1\nX_ONEMORE_MEMBERS=1")
	t.Setenv("NOTIFY_SOCKET", "")
	b := open(t, testConfig(t, "b"))
	if err := b.Join(t.Context(), target(a)); err != nil {
		t.Fatal(err)
	}
	hears(t, conn, "X_ONEMORE_MEMBERS=2")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	hears(t, conn, "X_ONEMORE_MEMBERS=1")
	conn.Close() // nobody listens any more, and the node doesn't mind
	c := open(t, testConfig(t, "c"))
	if err := c.Join(t.Context(), target(a)); err != nil {
		t.Fatal(err)
	}
}

func hears(t *testing.T, conn *net.UnixConn, want string) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	n, err := conn.Read(buf)
	if err != nil || string(buf[:n]) != want {
		t.Errorf("supervisor got %q, %v; want %q", buf[:n], err, want)
	}
}

func TestNotifySocketNonsense(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "relative")
	if _, err := Open(t.Context(), testConfig(t, "a")); err == nil {
		t.Error("opened with a supervisor that can't be reached by its name")
	}
}

// What ctl sees of a node that hangs up half way is an error, not a wait.
func TestControlHangsUp(t *testing.T) {
	dir := t.TempDir()
	l, err := listenSocket(filepath.Join(dir, controlSocket))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = bufio.NewReader(conn).ReadString('\n') // whatever it was
		conn.Close()
	}()
	if _, err := Control(t.Context(), dir, ControlRequest{Op: OpStatus}); err == nil {
		t.Error("no error from a node that hung up")
	}
	l.Close()
	<-ended
}

// However many connections are idle, the next one is served.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	n := open(t, testConfig(t, "a"))
	for i := range httpClients + 50 {
		conn, err := net.Dial("tcp", n.Addr("http"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 { // one request, and then idle
			if _, err := io.WriteString(conn, "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	began := time.Now()
	var s Status
	get(t, n, "/status", &s)
	if took := time.Since(began); took > httpHeaderTime/2 {
		t.Errorf("answered after %v", took)
	}
}

// Pages from elsewhere can neither read over HTTP nor use WebSocket, unless the configuration allows their host.
func TestForeignPages(t *testing.T) {
	cfg := testConfig(t, "a")
	cfg.Web.Hosts = []string{"*.lab.example"}
	n := open(t, cfg)
	tests := []struct {
		host, origin string
		allowed      bool
	}{
		{"", "", true}, {"localhost", "http://localhost:3000", true}, {"node.lab.example", "https://node.lab.example", true},
		{"evil.example", "", false}, {"", "https://evil.example", false}, {"", "null", false},
	}
	for _, tt := range tests {
		for listener, want := range map[string]int{"http": http.StatusOK, "ws": http.StatusSwitchingProtocols} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.Addr(listener)+"/status", nil)
			if err != nil {
				t.Fatal(err)
			}
			if listener == "ws" {
				for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "mqtt"} {
					req.Header.Set(k, v)
				}
			}
			if tt.host != "" {
				req.Host = tt.host
			}
			if tt.origin != "" {
				req.Header.Set("Origin", tt.origin)
			}
			tr := &http.Transport{DisableKeepAlives: true}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if !tt.allowed {
				want = http.StatusForbidden
			}
			if resp.StatusCode != want {
				t.Errorf("%s, host %q, origin %q: got %s, want %d", listener, tt.host, tt.origin, resp.Status, want)
			}
		}
	}
}
