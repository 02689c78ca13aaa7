package node

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	excerptOf := func(path, want string, ended bool) []string {
		return excerpt(plan.Node{Log: path, Ready: plan.Ready{Log: want}}, logStart{}, ended)
	}
	match := []string{"line 39", "line 40", "ERROR: the port is taken", "line 41", "line 42", "line 43"}
	last := []string{"line 90", "line 91", "line 92", "line 93", "line 94", "line 95", "line 96", "line 97", "line 98", "line 99"}
	if got := excerptOf(path, "ERROR", false); !slices.Equal(got, match) {
		t.Errorf("matching lines: got %q", got)
	}
	if got, want := excerptOf(path, "ERROR", true), slices.Concat(match, []string{"…"}, last[5:]); !slices.Equal(got, want) {
		t.Errorf("matching lines of a process that ended: got %q, want %q", got, want)
	}
	if got := excerptOf(path, "", false); !slices.Equal(got, last) {
		t.Errorf("last lines: got %q", got)
	}
	if got := excerptOf(path, "no such line", true); !slices.Equal(got, last) {
		t.Errorf("with no match, the last lines: got %q", got)
	}
	if got := excerptOf(path, "line", true); len(got) != excerptLines || got[0] != "line 0" || got[6] != "…" || got[15] != "line 99" {
		t.Errorf("with many matches: got %q", got)
	}
	if got := excerptOf(path+".missing", "", false); len(got) != 0 {
		t.Errorf("a missing log: got %q", got)
	}
}

// TestExcerptOwnLogs: of a file that the server logs to itself, what it has written since its start is quoted, each line that stands in
// several files once, and no longer than can be read.
func TestExcerptOwnLogs(t *testing.T) {
	p := plan.Node{Dir: t.TempDir(), Ready: plan.Ready{LogFiles: []string{"log/*.log"}, Log: "FATAL"}}
	p.Log = filepath.Join(p.Dir, "node.log")
	write := func(name string, lines ...string) {
		t.Helper()
		path := filepath.Join(p.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, l := range lines {
			fmt.Fprintln(f, l)
		}
	}
	write("log/a.log", "FATAL: of the source")
	start := logStartNow(p)
	long := strings.Repeat("é", 400)
	write("log/a.log", "FATAL: of now", long)
	write("log/b.log", "FATAL: of now", "more")
	want := []string{"FATAL: of now", strings.Repeat("é", 299) + "…", "more"}
	if got := excerpt(p, start, false); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := os.Truncate(filepath.Join(p.Dir, "log/a.log"), 0); err != nil {
		t.Fatal(err)
	}
	write("log/a.log", "FATAL: anew")
	if got := excerpt(p, start, false); len(got) == 0 || got[0] != "FATAL: anew" {
		t.Errorf("a file that was begun anew: got %q", got)
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
