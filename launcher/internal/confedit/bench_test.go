package confedit

import (
	"os"
	"testing"
)

// BenchmarkApply makes the edits of one node in a large file as it is shipped.
func BenchmarkApply(b *testing.B) {
	src, err := os.ReadFile("testdata/emqx44/emqx.conf")
	if err != nil {
		b.Fatal(err)
	}
	edits := []Edit{
		set("node.name", "emqx2@127.0.0.1"), set("node.cookie", "c"), set("listener.tcp.external", "0.0.0.0:2883"),
		set("listener.tcp.internal", "127.0.0.1:12883"), set("listener.ssl.external", "9883"), set("listener.ws.external", "9083"),
		set("listener.wss.external", "9084"), set("cluster.discovery", "static"), set("cluster.static.seeds", "a@h,b@h"),
	}
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if _, err := Apply("properties", src, edits); err != nil {
			b.Fatal(err)
		}
	}
}
