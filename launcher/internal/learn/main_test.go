package learn

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/proc"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "serve" {
		os.Exit(serve(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

var orders = regexp.MustCompile(`(listen-tcp|listen-udp|http|env|bus|write|write-source|fork-bare|fork|orphan|ignore-term|die-if-not|touch|need-env|lua)[ =]([^\s"<>;]+)`)

var luaCall = regexp.MustCompile(`(?m)^box\.cfg\{listen = '([0-9.:]+)', work_dir = 'data'\}$`)

// serve is a server that does what its arguments say, and the files among them.
func serve(args []string) int {
	text := ""
	for _, a := range args {
		if src, err := os.ReadFile(a); err == nil {
			a = string(src)
		}
		text += a + "\n"
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var first *net.TCPAddr
	for _, m := range orders.FindAllStringSubmatch(text, -1) {
		var err error
		switch what, arg := m[1], m[2]; what {
		case "env":
			first, err = tcp("127.0.0.1:"+os.Getenv(arg), nil)
		case "listen-tcp":
			first, err = tcp(arg, nil)
		case "http":
			_, err = tcp(arg, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/health" {
					http.NotFound(w, r)
				}
			}))
		case "listen-udp":
			_, err = net.ListenPacket("udp", arg)
		case "bus":
			by, _ := strconv.Atoi(arg)
			_, err = tcp("127.0.0.1:"+strconv.Itoa(first.Port+by), nil)
		case "write", "write-source":
			err = os.MkdirAll(filepath.Dir(arg), 0o755)
			if err == nil {
				err = os.WriteFile(arg, []byte("data"), 0o644)
			}
		case "fork", "fork-bare": // with an emptied environment
			spec := proc.Spec{Args: []string{os.Args[0], "serve", "orphan " + strconv.Itoa(os.Getpid()) + " listen-tcp " + arg}}
			if what == "fork-bare" {
				spec.Env = []string{}
			}
			_, err = proc.Detach(spec)
			if err == nil {
				return 0
			}
		case "orphan": // the parent has ended before anything listens
			parent, _ := strconv.Atoi(arg)
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for os.Getppid() == parent {
				<-tick.C
			}
		case "touch": // a file that must be there
			var old []byte
			if old, err = os.ReadFile(arg); err == nil {
				err = os.WriteFile(arg, append(old, '+'), 0o644)
			}
		case "need-env":
			if os.Getenv(arg) == "" {
				err = fmt.Errorf("%s is not set", arg)
			}
		case "lua":
			var src []byte
			if src, err = os.ReadFile(arg); err == nil {
				if call := luaCall.FindSubmatch(src); call != nil {
					_, err = tcp(string(call[1]), nil)
				} else {
					err = fmt.Errorf("syntax error in %s: %s", arg, src)
				}
			}
		case "ignore-term":
			signal.Ignore(syscall.SIGTERM)
		case "die-if-not":
			if !strings.Contains(text, arg+" ") {
				err = fmt.Errorf("no %s", arg)
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "fatal:", err)
			return 3
		}
	}
	<-ctx.Done()
	return 0
}

func tcp(addr string, h http.Handler) (*net.TCPAddr, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	if h != nil {
		go func() { _ = http.Serve(ln, h) }() // ends with the process
	}
	return ln.Addr().(*net.TCPAddr), nil
}

// freePorts are n ports in a row that nobody has, below those that the kernel gives away; so is each 100 further on.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	for base := 23000 + os.Getpid()%4000; base < 32000; base += n {
		var out []int
		var want ports.Want
		for i := range n {
			out = append(out, base+i)
			for _, p := range []int{base + i, base + i + 100} {
				want.Addrs = append(want.Addrs, ports.Addr{Proto: ports.TCP, Port: p}, ports.Addr{Proto: ports.UDP, Port: p})
			}
		}
		if l, err := ports.Acquire(t.Context(), want, t.Name()); err == nil {
			t.Cleanup(func() { l.Close() })
			return out
		}
	}
	t.Fatal("no free ports")
	return nil
}

// folder lays a node directory.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kvd")
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
