package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// retain publishes a retained message at a node.
func (n *node) retain(topic, text string) {
	n.t.Helper()
	body := append([]byte{0, byte(len(topic))}, topic+"\x00\x01"+text...)
	if answer := n.mqtt(packet(0x33, body), 4); string(answer) != "\x40\x02\x00\x01" {
		n.t.Fatalf("publish at %s: % x", n.name, answer)
	}
}

// retained reads the retained message of a topic at a node.
func (n *node) retained(topic string) string {
	n.t.Helper()
	body := append([]byte{0, 1, 0, byte(len(topic))}, topic+"\x00"...)
	answer := n.mqtt(append(packet(0x82, body), 0xc0, 0), 0)
	grant, rest, _ := strings.Cut(string(answer), "\x90\x03\x00\x01\x00")
	_, text, _ := strings.Cut(rest, topic)
	return grant + strings.TrimSuffix(text, "\xd0\x00")
}

// mqtt connects to a node, sends, and reads so many bytes, or until the answer to a ping.
func (n *node) mqtt(send []byte, length int) []byte {
	n.t.Helper()
	conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", n.ports["tcp"]))
	if err != nil {
		n.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(append([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"), send...)); err != nil {
		n.t.Fatal(err)
	}
	var all []byte
	for one := make([]byte, 1); len(all) < 4+length || length == 0 && !strings.HasSuffix(string(all), "\xd0\x00"); {
		if _, err := io.ReadFull(conn, one); err != nil {
			n.t.Fatalf("read from %s: %v", n.name, err)
		}
		all = append(all, one...)
	}
	return all[4:]
}

// TestFollowsSeed: a node that is not among its own seeds looks for them for ever. When its seed leaves the cluster, it follows,
// and what the cluster had is gone. One that is among them has found what it looked for.
func TestFollowsSeed(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		for _, itself := range []bool{false, true} {
			nodes := newNodes(t, version, 2)
			a, b := nodes[0], nodes[1]
			for _, n := range nodes {
				n.set("STANDIN_SPEED", "5")
			}
			a.up()
			a.retain("kept", "yes")
			if itself {
				b.seeds(a, b)
			} else {
				b.seeds(a)
			}
			r := b.up()
			settled(t, nodes, 2)
			if got := b.retained("kept"); got != "yes" {
				t.Errorf("the added node has %q", got)
			}
			if got := a.ctl("cluster", "leave"); !strings.HasPrefix(got.out, "Leave the cluster successfully") {
				t.Fatalf("leave: %+v", got)
			}
			if itself {
				settled(t, nodes, 1)
				if got := b.retained("kept"); got != "yes" {
					t.Errorf("the node that stayed has %q", got)
				}
				continue
			}
			settled(t, nodes, 2)
			if opened := strings.Count(r.text(), "Start "); opened < 3*(len(b.ports)-2) {
				t.Errorf("it opened %d listeners, want those of the start and of two joins:\n%s", opened, r.text())
			}
			if got := b.retained("kept"); got != "" {
				t.Errorf("the node that followed still has %q", got)
			}
		}
	})
}

// TestRetained: every member has the messages; they are in memory, and gone when the last node stops.
func TestRetained(t *testing.T) {
	nodes := newNodes(t, "5.0", 2)
	static(nodes)
	all := upAll(nodes)
	settled(t, nodes, 2)
	nodes[0].retain("kept", "one")
	eventually(t, "the message", func() bool { return nodes[1].retained("kept") == "one" }, nothing)
	all[1].term()
	nodes[1].up()
	settled(t, nodes, 2)
	if got := nodes[1].retained("kept"); got != "one" {
		t.Errorf("a member that was away has %q", got)
	}
	upAgain(t, nodes)
	settled(t, nodes, 2)
	if got := nodes[0].retained("kept"); got != "" {
		t.Errorf("after a stop of all there is %q", got)
	}
}

// upAgain stops all nodes and starts them at once.
func upAgain(t *testing.T, nodes []*node) {
	t.Helper()
	for _, n := range nodes {
		if got := n.run("emqx", "stop"); got.code != 0 {
			t.Errorf("stop: %+v", got)
		}
	}
	upAll(nodes)
}

// TestWaitsForTables: of a cluster that was stopped and starts at once, a node that looks too early waits before it looks again.
func TestWaitsForTables(t *testing.T) {
	nodes := newNodes(t, "5.0", 2)
	static(nodes)
	all := upAll(nodes)
	settled(t, nodes, 2)
	all[1].term()
	settled(t, nodes[:1], 1)
	all[0].term()
	late := nodes[1].foreground()
	late.waitFor("timed out waiting for tables, trying again")
	nodes[0].up()
	late.waitFor("is running now!")
	settled(t, nodes, 2)
}

// TestCut: a node that falls silent is a member until net_ticktime is over. When it is heard again the smaller side restarts,
// and has the other's messages.
func TestCut(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		nodes := newNodes(t, version, 3)
		static(nodes)
		for _, n := range nodes {
			n.set("EMQX_NODE__DIST_NET_TICKTIME", "2s")
		}
		all := upAll(nodes)
		settled(t, nodes, 3)
		cut := all[2].cmd.Process
		if err := cut.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if got := nodes[0].count(); got != 3 {
			t.Errorf("at once: %d members, want 3", got)
		}
		settled(t, nodes[:2], 2)
		nodes[0].retain("kept", "meanwhile")
		if err := cut.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		all[2].waitFor("Autoheal")
		settled(t, nodes, 3)
		if got := nodes[2].retained("kept"); got != "meanwhile" {
			t.Errorf("the node that was cut off has %q", got)
		}
		for _, r := range all[:2] {
			if strings.Contains(r.text(), "Autoheal") {
				t.Errorf("%s, on the greater side, restarted:\n%s", r.name, r.text())
			}
		}
	})
}

// TestJoinOfOneThatGoes: a node whose target is gone when it comes has left its own cluster; from 5.8 on its listeners stay closed.
func TestJoinOfOneThatGoes(t *testing.T) {
	for version, open := range map[string]bool{"5.0": true, "5.8": false} {
		nodes := newNodes(t, version, 2)
		nodes[0].set("STANDIN_FAULT", faultNoJoin) // it answers, and takes nobody in
		upAll(nodes)
		if got := nodes[1].ctl("cluster", "join", string(nodes[0].name)); !strings.HasPrefix(got.out, "Failed to join") {
			t.Errorf("%s: join: %+v", version, got)
		}
		if isOpen(nodes[1].ports["tcp"]) != open {
			t.Errorf("%s: listeners are open: %v, want %v", version, !open, open)
		}
	}
}

// TestSharedData: two nodes whose data_dir is one place run, and both write there.
func TestSharedData(t *testing.T) {
	nodes := newNodes(t, "5.0", 2)
	shared := filepath.Join(t.TempDir(), "data")
	for _, n := range nodes {
		n.set("EMQX_NODE__DATA_DIR", shared)
	}
	upAll(nodes)
	for _, pattern := range []string{"mnesia/*", "configs/vm.*.args"} {
		found, err := filepath.Glob(filepath.Join(shared, pattern))
		if err != nil || len(found) == 0 {
			t.Errorf("%s: %v, %v", pattern, found, err)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(shared, "mnesia", "*")); len(found) != 2 {
		t.Errorf("databases: %v", found)
	}
}
