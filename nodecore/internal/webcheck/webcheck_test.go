package webcheck

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	c := New("node.example.com", "*.lab.example", "10.0.0.7")
	tests := []struct {
		host, origin string
		denied       string // header; "" is allowed
	}{
		{"127.0.0.1:18083", "", ""}, {"localhost:18083", "", ""}, {"LOCALHOST", "", ""}, {"[::1]:18083", "", ""}, {"127.0.0.5", "", ""},
		{"a.localhost:1", "", ""}, {"192.0.2.1:18083", "", ""}, {"[::ffff:192.0.2.1]:18083", "", ""}, {"", "", ""},
		{"node.example.com:18083", "", ""}, {"node.example.com.", "", ""}, {"x.lab.example", "", ""}, {"10.0.0.7", "", ""},
		{"192.0.2.2:18083", "", "Host"}, {"evil.example", "", "Host"}, {"lab.example", "", "Host"}, {"127.0.0.1.evil.example", "", "Host"},
		{"localhost.evil.example", "", "Host"}, {"evillab.example", "", "Host"}, {"[::1", "", "Host"},
		{"127.0.0.1:18083", "http://localhost:3000", ""}, {"127.0.0.1", "https://node.example.com", ""}, {"127.0.0.1", "http://[::1]:5", ""},
		{"127.0.0.1", "https://evil.example", "Origin"}, {"127.0.0.1", "null", "Origin"}, {"127.0.0.1", "file://", "Origin"},
		{"127.0.0.1", "http://localhost@evil.example", "Origin"}, {"127.0.0.1", "%zz", "Origin"},
	}
	for _, tt := range tests {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 18083}))
		r.Host = tt.host
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		err := c.Check(r)
		denied, _ := errors.AsType[*DeniedError](err)
		if got := err != nil; got != (tt.denied != "") || got && denied.Header != tt.denied {
			t.Errorf("host %q, origin %q: got %v, want denied by %q", tt.host, tt.origin, err, tt.denied)
		}
		w := httptest.NewRecorder()
		c.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		if (w.Code == http.StatusForbidden) != (err != nil) || err != nil && !strings.Contains(w.Body.String(), "web.hosts") {
			t.Errorf("host %q, origin %q: answered with %d %q", tt.host, tt.origin, w.Code, w.Body)
		}
	}
	everything := httptest.NewRequest(http.MethodGet, "/", nil)
	everything.Host = "evil.example"
	if err := New("*").Check(everything); err != nil {
		t.Error(err)
	}
}
