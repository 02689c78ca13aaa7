package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"onemore/launcher/internal/plan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// feed writes text through a log's pipe, as a process would, and returns when it is on disk.
func feed(t *testing.T, l *logFile, texts ...string) {
	t.Helper()
	var wg sync.WaitGroup
	w, err := l.pipe(&wg)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range texts {
		if _, err := w.WriteString(s); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	wg.Wait()
}

func TestLogLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 3*logMaxLine/2)
	feed(t, l, "one\ntw", "o\r\n\nthree\n"+long+"\nno end")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(raw)) {
		stamp, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if _, err := time.Parse(LogTime, stamp); err != nil || !ok {
			t.Fatalf("line %.60q has no time: %v", line, err)
		}
		if len(text) > logMaxLine+4096 {
			t.Errorf("a line of %d bytes was not cut", len(text))
		}
		got = append(got, text)
	}
	want := []string{"one", "two", "", "three"}
	for i, w := range want {
		if got[i] != w {
			t.Errorf("line %d: got %.40q, want %q", i, got[i], w)
		}
	}
	if joined := strings.Join(got[4:len(got)-1], ""); joined != long {
		t.Errorf("the long line came back as %d bytes, want %d", len(joined), len(long))
	}
	if last := got[len(got)-1]; last != "no end" {
		t.Errorf("last line: got %q", last)
	}
}

func TestLogRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	l.limit = 64 << 10
	line := strings.Repeat("y", 1<<10) + "\n"
	feed(t, l, strings.Repeat(line, 3*int(l.limit)/len(line)), "the last line\n")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, p := range []string{path, path + ".1"} {
		fi, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		total += fi.Size()
	}
	if most := 2*l.limit + 2*logMaxLine; total > most {
		t.Errorf("the log takes %d bytes, more than %d", total, most)
	}
	if got := printed(path, time.Time{}); len(got) == 0 || got[len(got)-1] != "the last line" {
		t.Errorf("the last line is not at the end: %.80q", got)
	}
}

func TestExcerpt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "line %d\n", i)
		if i == 40 {
			b.WriteString("ERROR: the port is taken\n")
		}
	}
	feed(t, l, b.String())
	l.Close()
	excerptOf := func(path, want string) []string {
		return excerpt(plan.Node{Log: path, Ready: plan.Ready{Log: want}}, time.Time{})
	}
	if got := excerptOf(path, "ERROR"); len(got) != 1 || got[0] != "ERROR: the port is taken" {
		t.Errorf("matching lines: got %q", got)
	}
	if got := excerptOf(path, ""); len(got) != 10 || got[9] != "line 99" {
		t.Errorf("last lines: got %q", got)
	}
	if got := excerptOf(path, "no such line"); len(got) != 10 {
		t.Errorf("with no match, the last lines: got %q", got)
	}
	if got := excerptOf(path+".missing", ""); len(got) != 0 {
		t.Errorf("a missing log: got %q", got)
	}
}

// TestLogRotationFails: no file can be opened at that moment; the log stays in its place, and rotates with the next line.
func TestLogRotationFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	l.limit = 1
	l.write([]byte("one"))
	var was, none syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none.Max = was.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	l.write([]byte("two"))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	l.write([]byte("three"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{path + ".1": "one two", path: "three"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(b)) {
			_, text, _ := strings.Cut(strings.TrimSpace(line), " ")
			got = append(got, text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s has %q, want %q", filepath.Base(file), got, want)
		}
	}
}
