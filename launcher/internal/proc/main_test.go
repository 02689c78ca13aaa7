package proc

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleVariable makes this test binary act as one of the programs that the tests
// start.
const roleVariable = "PROC_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

// play is a program of the tests. All of them end when their standard input
// does, so that nothing outlives the tests.
func play(role string) int {
	name, arg, _ := strings.Cut(role, ":")
	switch name {
	case "exit":
		code, _ := strconv.Atoi(arg)
		return code
	case "block":
		fmt.Println("ready")
	case "stubborn": // does not end at TERM
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
	case "parent": // starts a child of the role arg and waits
		if _, err := child(arg); err != nil {
			return 3
		}
	case "orphan": // starts a child of the role arg and leaves it
		if _, err := child(arg); err != nil {
			return 3
		}
		return 0
	case "self": // prints its identity
		id, err := Self()
		fmt.Println(id, err)
	case "noexec": // says why a script on a file system at arg can't be executed
		fmt.Println(runNoexec(arg))
	case "titled": // overwrites its environment with a title
		if err := overwriteTitle("helper: of the tests"); err != nil {
			fmt.Println(err)
			return 3
		}
		fmt.Println("ready")
	case "fork", "regroup": // starts a child of the role arg in its own group, or in a new one of its session, prints its pid and waits
		c, err := childSpec(arg).command()
		if err != nil {
			return 3
		}
		c.SysProcAttr.Setpgid = name == "regroup"
		p, err := begin(c, func(*Process) {})
		if err != nil {
			return 3
		}
		fmt.Println(p.id.PID)
	case "keeper": // starts a child through a Spawner
		s := NewSpawner(SpawnerOptions{})
		if _, err := s.Start(context.Background(), childSpec("block")); err != nil {
			return 3
		}
	case "chatter":
		chunk := strings.Repeat("x", 1<<10)
		for range 3 << 10 {
			fmt.Print(chunk)
		}
		return 0
	case "headless": // its first thread ends before the others
		endFirstThread()
	default:
		return 2
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func init() {
	if os.Getenv(roleVariable) == "headless" {
		runtime.LockOSThread() // main runs on the first thread
	}
}

// endFirstThread goes on in another thread, until the standard input ends.
func endFirstThread() {
	go func() {
		for {
			if b, err := os.ReadFile("/proc/self/stat"); err != nil || strings.Contains(string(b), ") Z ") {
				break
			}
		}
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
}

func childSpec(role string) Spec {
	return Spec{
		Args:   []string{os.Args[0]},
		Env:    append(os.Environ(), roleVariable+"="+role),
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
	}
}

func child(role string) (*Process, error) { return Detach(childSpec(role)) }

// lifeline returns a pipe to be the standard input of test programs, and one for
// their output. Both end with the test.
func lifeline(t *testing.T) (stdin *os.File, stdout *os.File, lines *bufio.Reader) {
	t.Helper()
	in, inWriter, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, outWriter, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range []*os.File{in, inWriter, out, outWriter} {
			f.Close()
		}
	})
	return in, outWriter, bufio.NewReader(out)
}

// program is the spec of a test program that ends with the test.
func program(t *testing.T, role string) (Spec, *bufio.Reader) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in, out, lines := lifeline(t)
	return Spec{
		Args:   []string{exe},
		Env:    append(os.Environ(), roleVariable+"="+role),
		Stdin:  in,
		Stdout: out,
	}, lines
}

func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("read from test program: %v", err)
	}
	return strings.TrimSpace(line)
}

// eventually polls until ok, for at most 20 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}

func newSpawner(t *testing.T, o SpawnerOptions) *Spawner {
	t.Helper()
	s := NewSpawner(o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close spawner: %v", err)
		}
	})
	return s
}

func start(t *testing.T, s *Spawner, spec Spec) *Process {
	t.Helper()
	p, err := s.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// markedWith returns who carries a mark in its environment.
func markedWith(mark string, also ...string) ([]Info, error) {
	return Claim{Mark: "PROC_TEST_MARK=" + mark, Also: also}.Find()
}

// markFor returns a value that no other process has in its environment.
func markFor(t *testing.T) string { return t.Name() + "-" + rand.Text() }
