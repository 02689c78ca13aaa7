package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// truth compares a status with the process table. What is on its way while we look is looked at again.
func (h *host) truth(cluster string) {
	h.t.Helper()
	var lie string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
		lie = h.lie(cluster)
		if lie == "" {
			return
		}
	}
	h.t.Errorf("status of %s does not tell the truth: %s", cluster, lie)
}

func (h *host) lie(cluster string) string {
	st, ok := h.status(cluster)
	if !ok {
		if _, err := os.Stat(filepath.Join(h.home, cluster)); err == nil {
			return "there is no such cluster, but a folder"
		}
		return ""
	}
	for _, n := range st.Nodes {
		alive := marked(fmt.Sprintf("ONEMORE_CLUSTER_ID=%s\x00ONEMORE_NODE_INDEX=%d", st.ID, n.Index))
		if (n.PID != 0) != (len(alive) > 0) {
			return fmt.Sprintf("node %d is %s with pid %d, and these processes are its: %v", n.Index, n.State, n.PID, alive)
		}
	}
	return ""
}

// nothingLeft fails the test when a process, a port or a folder of any cluster is left.
func (h *host) nothingLeft() {
	h.t.Helper()
	for _, what := range leftovers(h.home) {
		h.t.Error(what)
	}
}

// leftovers lists what is left below an ONEMORE_HOME: processes, folders of clusters, and the data races that were found.
func leftovers(home string) []string {
	var out []string
	for _, p := range left("ONEMORE_HOME=" + home) {
		out = append(out, "a process is left: "+p)
	}
	entries, err := os.ReadDir(home)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		out = append(out, err.Error())
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "_") {
			out = append(out, e.Name()+" is left in ONEMORE_HOME")
		}
	}
	return append(out, races(home)...)
}

// full fails the test unless a cluster runs with n nodes, each of which says that it sees n.
func (h *host) full(cluster string, n int) clusterStatus {
	h.t.Helper()
	return h.running(cluster, n, n)
}

// running is full for nodes that say they see so many members; -1: their template can't ask them.
func (h *host) running(cluster string, n, members int) clusterStatus {
	h.t.Helper()
	st, ok := h.status(cluster)
	if !ok || st.State != "running" || len(st.Nodes) != n {
		h.t.Fatalf("cluster %s is %q with %d nodes, want running with %d: %+v", cluster, st.State, len(st.Nodes), n, st.Nodes)
	}
	for _, node := range st.Nodes {
		if node.State != "running" || node.Members != members {
			h.t.Errorf("node %d of cluster %s is %s and sees %d members, want running and %d", node.Index, cluster, node.State, node.Members, members)
		}
	}
	return st
}

// declared fails the test when a node listens where its template does not say so, or does not where it says.
func (h *host) declared(cluster string) {
	h.t.Helper()
	var st struct {
		Audit []json.RawMessage `json:"audit"`
	}
	if err := json.Unmarshal([]byte(h.ok("-c", cluster, "status", "--json")), &st); err != nil {
		h.t.Fatal(err)
	}
	for _, finding := range st.Audit {
		h.t.Errorf("cluster %s: a listener is not as planned: %s", cluster, finding)
	}
}

// downClean takes a cluster down after whatever happened, and checks that nothing of it is left.
func (h *host) downClean(cluster string, st clusterStatus) {
	h.t.Helper()
	h.ok("-c", cluster, "down")
	if st.ID != "" {
		for _, p := range left("ONEMORE_CLUSTER_ID=" + st.ID) {
			h.t.Errorf("a process is left after down: %s", p)
		}
	}
	for _, n := range st.Nodes {
		for name, addr := range n.Listeners {
			if c, err := net.Dial("tcp", addr); err == nil {
				c.Close()
				if pid := listenerOf(h.t, addr); pid != "" && !ofAnother(pid, st.ID) { // other tests take what is free
					h.t.Errorf("%s of node %d is still open on %s, by pid %s", name, n.Index, addr, pid)
				}
			}
		}
	}
	if _, err := os.Stat(filepath.Join(h.home, cluster)); err == nil {
		h.t.Errorf("the folder of %s is left after down", cluster)
	}
	h.noneOf(filepath.Join(h.home, cluster) + "/")
	h.ok("gc")
}

// noneOf fails the test when a process runs whose command line names a folder.
func (h *host) noneOf(folder string) {
	h.t.Helper()
	others := func(p string) bool { return !strings.Contains(p, folder) }
	mark := "TEST_RUN_MARK=" + os.Getenv("TEST_RUN_MARK")
	for _, p := range afterEnd(func() []string { return slices.DeleteFunc(marked(mark), others) }) {
		h.t.Errorf("a process is left: %s", p)
	}
}
