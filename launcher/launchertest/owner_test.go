package launchertest_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"onemore/launcher"
	"onemore/launcher/launchertest"
)

// TestHang is what TestOwner runs in another process: a test that never ends.
func TestHang(t *testing.T) {
	if os.Getenv("HANG") == "" {
		t.Skip("only as a child of TestOwner")
	}
	c := launchertest.Up(t, 2, launchertest.Options{})
	_, _ = io.WriteString(os.Stdout, "cluster="+c.Name()+"\n")
	if os.Getenv("HANG") == "panic" {
		go panic("a panic in another goroutine")
	}
	select {}
}

// TestFails is what TestLogsOfFailure runs in another process: a test that fails with a cluster of its own and the shared one.
func TestFails(t *testing.T) {
	if os.Getenv("FAIL") == "" {
		t.Skip("only as a child of TestLogsOfFailure")
	}
	launchertest.Up(t, 1, launchertest.Options{})
	n := shared.For(t).Node(2)
	n.Stop()
	n.Start()
	t.Fail()
}

// TestLogsOfFailure: the output of a test that failed has its nodes' logs.
func TestLogsOfFailure(t *testing.T) {
	child := exec.Command(os.Args[0], "-test.run=^TestFails$")
	child.Env = append(os.Environ(), "FAIL=1")
	out, err := child.CombinedOutput()
	if err == nil {
		t.Fatalf("the child did not fail:\n%s", out)
	}
	_, own, _ := strings.Cut(string(out), "log of node onemore1@")
	theirs, own, _ := strings.Cut(own, "log of node onemore1@") // the shared cluster's was asked for last, so it comes first
	_, theirs, _ = strings.Cut(theirs, "log of node onemore2@")
	if !strings.Contains(own, "msg=ready") || strings.Count(theirs, "msg=ready") != 1 {
		t.Errorf("the logs of the test's own cluster, or node 2's of the shared one since its start, are missing:\n%s", out)
	}
}

// TestOwner: a test binary that is killed, panics or runs into -timeout leaves no cluster.
func TestOwner(t *testing.T) {
	for _, how := range []string{"kill", "panic", "timeout"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			args := []string{"-test.run=^TestHang$"}
			if how == "timeout" {
				args = append(args, "-test.timeout=3s")
			}
			child := exec.Command(os.Args[0], args...)
			child.Env = append(os.Environ(), "HANG="+how)
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			name := ""
			for sc := bufio.NewScanner(out); name == "" && sc.Scan(); {
				name, _ = strings.CutPrefix(sc.Text(), "cluster=")
				if !strings.HasPrefix(name, "test-") {
					name = ""
				}
			}
			if name == "" {
				t.Fatal("the child named no cluster")
			}
			if how == "kill" {
				_ = child.Process.Kill()
			}
			_, _ = io.Copy(io.Discard, out)
			_ = child.Wait()
			for range 1000 {
				if _, err := launcher.Open(name, launcher.Options{}); err != nil {
					return
				}
				<-time.After(10 * time.Millisecond)
			}
			t.Errorf("cluster %s is still there", name)
		})
	}
}
