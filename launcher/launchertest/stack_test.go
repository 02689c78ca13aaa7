package launchertest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onemore/launcher/launchertest"
)

func TestStack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "onemore.toml")
	text := "stack = \"shop\"\n[env]\nMQ = '{{(stack \"mq\").Addrs \"mqtt\"}}'\n[clusters.mq]\nnodes = 2\n[clusters.log]\nneeds = [\"mq\"]\nnodes = 1\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s := launchertest.Stack(t, file)
	mq := s.Cluster("mq")
	if got := len(mq.Nodes()); got != 2 || mq.Name() != s.Name()+".mq" {
		t.Errorf("cluster %s of %d nodes", mq.Name(), got)
	}
	want := "MQ=" + strings.Join(mq.Addrs("mqtt"), ",")
	if env := s.Environ(); !slices.Contains(env, want) {
		t.Errorf("no %s in %q", want, env)
	}
	mq.Node(2).Kill()
	mq.Node(2).Start()
	if st := s.Cluster("log").Status(); len(st.Nodes) != 1 || st.State != "running" {
		t.Errorf("log: %+v", st)
	}
}
