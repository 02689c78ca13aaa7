package nodecore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"time"

	"onemore/nodecore/internal/member"
)

// Bounds on what HTTP clients can make the node hold.
const (
	httpClients    = 256
	httpHeaderSize = 16 << 10
	httpBodySize   = 64 << 10
	httpHeaderTime = 5 * time.Second
	httpTime       = 30 * time.Second
)

// httpServer answers on the http listener: status, members, metrics.
type httpServer struct {
	n   *Node
	srv *http.Server
}

// serveHTTP serves the http listener, if it is on.
func (n *Node) serveHTTP() {
	l := n.sockets.take("http")
	if l == nil {
		return
	}
	h := &httpServer{n: n}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", h.status)
	mux.HandleFunc("GET /metrics", h.metrics)
	mux.HandleFunc("GET /api/v1/nodes", h.nodes)
	h.srv = &http.Server{
		Handler:           n.web.Handler(http.MaxBytesHandler(mux, httpBodySize)),
		ReadHeaderTimeout: httpHeaderTime, ReadTimeout: httpTime, WriteTimeout: httpTime, IdleTimeout: 2 * httpTime,
		MaxHeaderBytes: httpHeaderSize,
		ConnState:      newConnLimit(httpClients).state,
		ErrorLog:       discardLogger(),
	}
	n.http = h
	n.wg.Go(func() { h.run(l) })
}

func (h *httpServer) run(l net.Listener) {
	if err := h.srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		h.n.log.Error("serve http", "error", err)
	}
}

// status answers 503 while the node is in trouble, with the same content.
func (h *httpServer) status(w http.ResponseWriter, _ *http.Request) {
	s := h.n.Status()
	if s.Trouble != "" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	h.writeJSON(w, s)
}

// nodeInfo is one member in /api/v1/nodes.
type nodeInfo struct {
	Name    string `json:"name"`
	ID      string `json:"id"`
	State   string `json:"state"` // running or stopped
	Cluster string `json:"cluster_addr"`
	Forward string `json:"forward_addr"`
}

func (h *httpServer) nodes(w http.ResponseWriter, _ *http.Request) {
	v := h.n.group.View()
	list := []nodeInfo{}
	add := func(members []member.Member, state string) {
		for _, m := range members {
			list = append(list, nodeInfo{Name: m.Name, ID: m.ID, State: state, Cluster: m.Addr, Forward: m.Forward})
		}
	}
	add(v.Running, "running")
	add(v.Stopped, "stopped")
	h.writeJSON(w, map[string]any{"nodes": list})
}

func (h *httpServer) writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		h.n.log.Debug("answer http", "error", err)
	}
}

func (h *httpServer) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if err := h.writeMetrics(w); err != nil {
		h.n.log.Debug("answer http", "error", err)
	}
}

// metric is one line of /metrics with its help.
type metric struct {
	name, kind, help string
	value            float64
}

// writeMetrics writes the node's figures in Prometheus' text form.
func (h *httpServer) writeMetrics(w io.Writer) error {
	n := h.n
	v, t, b := n.group.View(), n.group.Traffic(), n.broker.Stats()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	for _, m := range []metric{
		{"onemore_members_running", "gauge", "Members of the cluster that this node sees running, itself included.", float64(len(v.Running))},
		{"onemore_members_stopped", "gauge", "Members of the cluster that this node does not reach.", float64(len(v.Stopped))},
		{"onemore_cluster_garbage_total", "counter", "Packets and streams on the cluster port that were not the cluster's.", float64(n.group.Garbage())},
		{"onemore_cluster_packets_sent_total", "counter", "Packets sent on the cluster port.", float64(t.PacketsSent)},
		{"onemore_cluster_packets_received_total", "counter", "Packets received on the cluster port.", float64(t.PacketsReceived)},
		{"onemore_cluster_streams_dialed_total", "counter", "Streams opened to the cluster ports of others.", float64(t.StreamsDialed)},
		{"onemore_cluster_streams_accepted_total", "counter", "Streams accepted on the cluster port.", float64(t.StreamsAccepted)},
		{"onemore_mqtt_connections", "gauge", "Clients connected.", float64(b.Connections)},
		{"onemore_mqtt_sessions", "gauge", "Sessions, with or without a client.", float64(b.Sessions)},
		{"onemore_mqtt_subscriptions", "gauge", "Subscriptions of this node's sessions.", float64(b.Subscriptions)},
		{"onemore_mqtt_routes", "gauge", "Filters wanted on other nodes.", float64(b.Routes)},
		{"onemore_mqtt_retained", "gauge", "Retained messages of the cluster.", float64(b.Retained)},
		{"onemore_mqtt_queued", "gauge", "Messages waiting in sessions.", float64(b.Queued)},
		{"onemore_mqtt_received_total", "counter", "Messages published by clients of this node.", float64(b.Received)},
		{"onemore_mqtt_sent_total", "counter", "Messages written to clients of this node.", float64(b.Sent)},
		{"onemore_mqtt_forwarded_total", "counter", "Messages sent to other nodes.", float64(b.Forwarded)},
		{"onemore_mqtt_dropped_total", "counter", "Messages given up.", float64(b.Dropped)},
		{"onemore_store_failures_total", "counter", "Attempts to write to disk that failed.", float64(b.StoreFailures)},
		{"go_goroutines", "gauge", "Goroutines.", float64(runtime.NumGoroutine())},
		{"go_memstats_heap_inuse_bytes", "gauge", "Bytes of heap in use.", float64(mem.HeapInuse)},
		{"go_memstats_sys_bytes", "gauge", "Bytes obtained from the system.", float64(mem.Sys)},
	} {
		if _, err := fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %v\n", m.name, m.help, m.name, m.kind, m.name, m.value); err != nil {
			return err
		}
	}
	return nil
}
