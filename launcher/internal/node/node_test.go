package node

import (
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/template"
)

// TestTrouble: what a server answers for a moment is no trouble; what it goes on answering is.
func TestTrouble(t *testing.T) {
	var asked, bad atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) <= bad.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer web.Close()
	h := NewHost(t.TempDir(), proc.ID{}, slog.New(slog.DiscardHandler), func(control.Event) {})
	defer h.Close()
	n := New(h, plan.Node{Members: plan.Members{Require: []plan.Call{{Call: template.Call{HTTP: web.URL, Timeout: template.Duration{Duration: time.Second}}}}}})
	for _, c := range []struct {
		bad     int64
		trouble bool
	}{{0, false}, {2, false}, {math.MaxInt64, true}} {
		asked.Store(0)
		bad.Store(c.bad)
		if why := trouble(t.Context(), n, control.Running); (why != "") != c.trouble {
			t.Errorf("%d bad answers: trouble %q", c.bad, why)
		}
	}
}

func TestServes(t *testing.T) {
	l := plan.Listener{Host: "127.0.0.1", Bind: "127.0.0.1", Port: 1883}
	everywhere := plan.Listener{Host: "127.0.0.1", Bind: "0.0.0.0", Port: 4371}
	socket := func(host string, listening bool) ports.Socket {
		return ports.Socket{Proto: ports.TCP, Host: netip.MustParseAddr(host), Port: 1883, Listening: listening}
	}
	for _, c := range []struct {
		name string
		s    ports.Socket
		l    plan.Listener
		want bool
	}{
		{"its own address", socket("127.0.0.1", true), l, true},
		{"every address", socket("0.0.0.0", true), l, true},
		{"every address, IPv6", socket("::", true), l, true},
		{"another address", socket("127.0.0.2", true), l, false},
		{"only bound", socket("127.0.0.1", false), l, false},
		{"one address of all", socket("127.0.0.1", true), everywhere, true},
	} {
		if got := serves(c.s, c.l); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestStartScript(t *testing.T) {
	if got, want := quote(`a'b c`), `'a'\''b c'`; got != want {
		t.Errorf("quote: got %s, want %s", got, want)
	}
}
