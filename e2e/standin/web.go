package main

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// web is what the management (4.4) and dashboard ports serve.
type web struct {
	settings
	view   func() (running, stopped []nodeName)
	booted func() bool
}

// open opens a port. It accepts at once and answers only some time later, as the real one does.
func (w web) open(l listener, p pace) (io.Closer, error) {
	socket, err := listen(l.addr)
	if err != nil {
		return nil, err
	}
	answers := make(chan struct{})
	timer := time.AfterFunc(p.of(slowProbe), func() { close(answers) })
	handler := w.dashboard()
	if l.kind == "management" {
		handler = w.management()
	}
	server := serveHTTP(socket, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-answers:
			handler.ServeHTTP(rw, r)
		case <-r.Context().Done():
		}
	}))
	return closerFunc(func() error {
		timer.Stop()
		return server.Close()
	}), nil
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

func (w web) management() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", w.status)
	mux.HandleFunc("GET /api/v4/nodes", w.nodes44)
	return mux
}

func (w web) dashboard() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(rw, "<!DOCTYPE html><title>Dashboard</title>")
	})
	if w.is5() {
		mux.HandleFunc("GET /status", w.status)
		mux.HandleFunc("GET /api/v5/prometheus/stats", w.metrics)
		mux.HandleFunc("/api/v5/", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(rw, `{"code":"TOKEN_NOT_EXIST","message":"Get login token."}`)
		})
	}
	return mux
}

func (w web) status(rw http.ResponseWriter, _ *http.Request) {
	state := "running"
	if !w.booted() {
		state = "not_running"
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintf(rw, "Node %s is started\nemqx is %s", w.name, state)
}

func (w web) nodes44(rw http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	if subtle.ConstantTimeCompare([]byte(id+"\x00"+secret), []byte(w.apiID+"\x00"+w.apiSecret)) != 1 {
		rw.Header().Set("WWW-Authenticate", `Basic realm="minirest-server"`)
		rw.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(rw, `{"message":"UNAUTHORIZED"}`)
		return
	}
	type node struct {
		Node   nodeName `json:"node"`
		Status string   `json:"node_status"`
		Vsn    string   `json:"version,omitempty"`
	}
	data := []node{}
	running, stopped := w.view()
	for _, name := range running {
		data = append(data, node{name, "Running", w.version})
	}
	for _, name := range stopped {
		data = append(data, node{name, "Stopped", ""})
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(map[string]any{"data": data, "code": 0}) // the client is gone: nobody to tell
}

func (w web) metrics(rw http.ResponseWriter, _ *http.Request) {
	if w.guardStats {
		rw.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(rw, `{"code":"API_KEY_NOT_EXIST","message":"Get login token."}`)
		return
	}
	running, stopped := w.view()
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(rw, "# TYPE emqx_cluster_nodes_running gauge\n# HELP emqx_cluster_nodes_running \n"+
		"emqx_cluster_nodes_running %d\n"+
		"# TYPE emqx_cluster_nodes_stopped gauge\n# HELP emqx_cluster_nodes_stopped \n"+
		"emqx_cluster_nodes_stopped %d\n", len(running), len(stopped))
}

// openRPC holds the rpc port, which nobody but a real node has anything to say to.
func openRPC(number int) (io.Closer, error) {
	socket, err := listen(fmt.Sprintf("0.0.0.0:%d", rpcBase+number))
	if err != nil {
		return nil, err
	}
	return accept(socket, func(conn net.Conn) {
		_, _ = io.Copy(io.Discard, conn)
	}), nil
}
