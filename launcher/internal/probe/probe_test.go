package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newProber(t *testing.T) *Prober {
	t.Helper()
	p := New(nil)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// answers is a server with an answer of each kind.
func answers() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/n", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"n":3}`) })
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %s", r.Method, user, password, r.Header.Get("X-A"), body)
	})
	mux.HandleFunc("/no", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not yet", http.StatusServiceUnavailable) })
	mux.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat("x", 1<<16))
		for range 64 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
	})
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/n", http.StatusFound) })
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	return mux
}

func TestHTTP(t *testing.T) {
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(answers())
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")
	p := newProber(t)
	for range 20 {
		if a, err := p.Do(t.Context(), Call{HTTP: s.URL + "/n", JSON: "n"}); err != nil || a.Number != 3 {
			t.Fatalf("got %+v, %v", a, err)
		}
	}
	if n := conns.Load(); n > 2 {
		t.Errorf("20 calls made %d connections", n)
	}
	for _, tt := range []struct {
		call Call
		want string // in the answer, or in the error after "!"
	}{
		{Call{HTTP: "/echo", Method: "POST", User: "u", Password: "p", Header: map[string]string{"x-a": "b"}, Body: "body"}, "POST u p b body"},
		{Call{HTTP: "/here"}, `{"n":3}`},
		{Call{HTTP: "/no"}, `!answered 503 Service Unavailable: "not yet"`},
		{Call{HTTP: "/away"}, "!answered 302"},
		{Call{HTTP: "/hang", Timeout: 20 * time.Millisecond}, "!no answer within 20ms"},
		{Call{HTTP: "/n", Expect: "5"}, "!which does not match"},
	} {
		tt.call.HTTP = s.URL + tt.call.HTTP
		a, err := p.Do(t.Context(), tt.call)
		want, fails := strings.CutPrefix(tt.want, "!")
		if fails != (err != nil) || fails && !strings.Contains(err.Error(), want) || !fails && a.Text != want {
			t.Errorf("%v: got %+v, %v, want %q", tt.call, a, err, tt.want)
		}
		if err != nil && !strings.Contains(err.Error(), tt.call.HTTP) {
			t.Errorf("%v does not say what was asked", err)
		}
	}
	if a, err := p.Do(t.Context(), Call{HTTP: s.URL + "/big"}); err != nil || len(a.Text) != answerLimit {
		t.Errorf("read %d bytes, %v", len(a.Text), err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("node died")
	cancel(cause)
	if _, err := p.Do(ctx, Call{HTTP: s.URL + "/n"}); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
	s.Close()
	if _, err := p.Do(t.Context(), Call{HTTP: s.URL + "/n"}); err == nil || strings.Count(err.Error(), s.URL) != 1 {
		t.Errorf("closed server: got %v", err)
	}
}

// serve answers each connection with f, until the test ends.
func serve(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

func TestTCP(t *testing.T) {
	p := newProber(t)
	greeter := serve(t, func(c net.Conn) {
		// In parts, and then nothing more until the client goes.
		for _, part := range []string{"INFO {\"clu", "ster\":1}\r\n"} {
			if _, err := io.WriteString(c, part); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, c)
	})
	echo := serve(t, func(c net.Conn) {
		line, err := bufio.NewReader(c).ReadString('\n')
		if err == nil {
			_, _ = io.WriteString(c, "+"+line)
		}
	})
	mute := serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	for _, tt := range []struct {
		call Call
		want string // in the answer, or in the error after "!"
	}{
		{Call{TCP: greeter}, ""},
		{Call{TCP: greeter, Expect: `^INFO .*\n`}, "INFO {\"cluster\":1}\r\n"},
		{Call{TCP: greeter, Expect: "PONG", Timeout: 50 * time.Millisecond}, `!answered "INFO`},
		{Call{TCP: echo, Send: "PING\n", Expect: "PING"}, "+PING\n"},
		{Call{TCP: echo, Send: "PING\n", Refuse: "ERR"}, "+PING\n"},
		{Call{TCP: echo, Send: "ERR\n", Refuse: "ERR"}, "!is refused"},
		{Call{TCP: echo, Send: "a1a2\n", Count: `a\d`}, "+a1a2\n"},
		{Call{TCP: mute, Expect: "x", Timeout: 20 * time.Millisecond}, "!no answer within 20ms"},
	} {
		a, err := p.Do(t.Context(), tt.call)
		want, fails := strings.CutPrefix(tt.want, "!")
		if fails != (err != nil) || fails && !strings.Contains(err.Error(), want) || !fails && a.Text != want {
			t.Errorf("%v: got %+v, %v, want %q", tt.call, a, err, tt.want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := p.Do(t.Context(), Call{TCP: l.Addr().String()}); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("closed port: got %v", err)
	}
}

func TestExec(t *testing.T) {
	p := newProber(t)
	for _, tt := range []struct {
		script string
		call   Call
		want   string // in the answer, or in the error after "!"
	}{
		{"echo $X; echo err >&2", Call{Env: append(os.Environ(), "X=out")}, "out\nerr\n"},
		{"pwd", Call{Dir: "/"}, "/\n"},
		{"echo why; exit 3", Call{}, `!ended with code 3, wrote "why"`},
		{"echo Failed to join", Call{Refuse: "(?i)failed"}, "!is refused"},
		{"exec tail -f /dev/null", Call{Timeout: 50 * time.Millisecond}, "!no answer within 50ms"},
	} {
		tt.call.Exec = []string{"sh", "-c", tt.script}
		a, err := p.Do(t.Context(), tt.call)
		want, fails := strings.CutPrefix(tt.want, "!")
		if fails != (err != nil) || fails && !strings.Contains(err.Error(), want) || !fails && a.Text != want {
			t.Errorf("%s: got %+v, %v, want %q", tt.script, a, err, tt.want)
		}
	}
	if _, err := p.Do(t.Context(), Call{Exec: []string{"no-such-program-here"}}); err == nil || strings.Count(err.Error(), "no-such") > 2 {
		t.Errorf("got %v", err)
	}
}

func TestUntil(t *testing.T) {
	n := 0
	if err := Until(t.Context(), nil, func(context.Context) error {
		if n++; n < 4 {
			return errors.New("not yet")
		}
		return nil
	}); err != nil || n != 4 {
		t.Errorf("got %v after %d", err, n)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	reason := errors.New("2 of 3 members")
	err := Until(ctx, nil, func(ctx context.Context) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return reason
	})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, reason) || err.Error() != "timed out: 2 of 3 members" {
		t.Errorf("got %v", err)
	}

	bad := errors.New("a stranger has the port")
	n = 0
	err = Until(t.Context(), nil, func(context.Context) error { n++; return fmt.Errorf("look: %w", Permanent(bad)) })
	if !errors.Is(err, bad) || n != 1 {
		t.Errorf("got %v after %d", err, n)
	}

	n = 0
	prober := New(nil)
	err = Until(t.Context(), nil, func(ctx context.Context) error {
		n++
		_, err := prober.Do(ctx, Call{Exec: []string{"./no-such-tool"}, Dir: t.TempDir()})
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "there is no file") || n != 1 {
		t.Errorf("a tool that is not there: got %v after %d tries, want one", err, n)
	}

	ctx, stop := context.WithCancelCause(t.Context())
	died := errors.New("node 2 ended with exit code 1")
	stop(died)
	if err := Until(ctx, nil, func(context.Context) error { return reason }); !errors.Is(err, died) {
		t.Errorf("got %v, want the cause", err)
	}
}

// A poke makes Until look at once, and a closed channel doesn't make it spin.
func TestUntilPoked(t *testing.T) {
	poke := make(chan struct{})
	looked := make(chan struct{})
	var pokes int
	var wg sync.WaitGroup
	wg.Go(func() {
		for range looked {
			if pokes++; pokes <= 5 {
				poke <- struct{}{}
			} else if pokes == 6 {
				close(poke)
			}
		}
	})
	n := 0
	err := Until(t.Context(), poke, func(context.Context) error {
		if n++; n > 8 {
			return nil
		}
		looked <- struct{}{}
		return errors.New("not yet")
	})
	close(looked)
	wg.Wait()
	if err != nil {
		t.Error(err)
	}
}

func TestNotify(t *testing.T) {
	n, err := ListenNotify("test-" + strings.ReplaceAll(t.TempDir(), "/", "-"))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	conn, err := net.Dial("unixgram", n.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, message := range []string{"READY=1\nSTATUS=all fine = yes\n", "garbage", ""} {
		if _, err := io.WriteString(conn, message); err != nil {
			t.Fatal(err)
		}
	}
	got := <-n.C
	if got["READY"] != "1" || got["STATUS"] != "all fine = yes" || len(got) != 2 {
		t.Errorf("got %v", got)
	}
	if got := <-n.C; len(got) != 0 {
		t.Errorf("got %v of garbage", got)
	}
	for range 20 { // nobody takes these: Close must end all the same
		if _, err := io.WriteString(conn, "X=1"); err != nil {
			t.Fatal(err)
		}
		if len(n.C) == cap(n.C) {
			break
		}
	}
	for range 2 {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	for range n.C {
	}
	if _, err := ListenNotify(strings.Repeat("x", 200)); err == nil && strings.HasPrefix(n.Addr, "@") {
		t.Error("a name that is too long was taken")
	}
}
