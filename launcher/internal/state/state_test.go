package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHome(t *testing.T) {
	base := t.TempDir()
	for _, tt := range []struct {
		name            string
		home, xdg, user string
		want            string
	}{
		{"own", base + "/own/deep", base + "/xdg", base + "/user", base + "/own/deep"},
		{"xdg", "", base + "/xdg", base + "/user", base + "/xdg/onemore"},
		{"relative xdg", "", "xdg", base + "/user", base + "/user/.local/state/onemore"},
		{"user", "", "", base + "/user", base + "/user/.local/state/onemore"},
	} {
		t.Setenv(HomeVariable, tt.home)
		t.Setenv("XDG_STATE_HOME", tt.xdg)
		t.Setenv("HOME", tt.user)
		for range 2 {
			got, err := Home()
			if err != nil || got != tt.want {
				t.Errorf("%s: got %q, %v, want %q", tt.name, got, err, tt.want)
				continue
			}
			if info, err := os.Stat(got); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: got %v, %v", tt.name, info.Mode(), err)
			}
		}
	}
	t.Chdir(base)
	t.Setenv(HomeVariable, "relative")
	if got, err := Home(); err != nil || !filepath.IsAbs(got) {
		t.Errorf("relative: got %q, %v", got, err)
	}
}

func TestHomeRefuses(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	readOnly := filepath.Join(base, "ro")
	if err := os.Mkdir(readOnly, 0o500); err != nil {
		t.Fatal(err)
	}
	dirs := []string{file, filepath.Join(file, "x"), "/proc/onemore"}
	if os.Geteuid() != 0 {
		dirs = append(dirs, readOnly, filepath.Join(readOnly, "x"))
	}
	for _, dir := range dirs {
		t.Setenv(HomeVariable, dir)
		_, err := Home()
		if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "set "+HomeVariable) {
			t.Errorf("%s: got %v, want an error with the way out", dir, err)
		}
	}
	t.Setenv(HomeVariable, "")
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("HOME", "")
	if _, err := Home(); err == nil {
		t.Error("no home directory at all is fine")
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"default": true, "a": true, "A1": true, "v5.0-beta_2": true, strings.Repeat("x", 40): true,
		"": false, ".": false, "..": false, "-a": false, "a.": false, "a/b": false, "a b": false, "ü": false, "a\n": false,
		"../x": false, strings.Repeat("x", 41): false,
	} {
		if err := ValidName(name); (err == nil) != want {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

type record struct {
	Name  string `json:"name"`
	Nodes []int  `json:"nodes"`
}

func TestJSON(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cluster.json")
	for _, want := range []record{{"a", []int{1, 2, 3}}, {"b", nil}} {
		if err := WriteJSON(path, want); err != nil {
			t.Fatal(err)
		}
		var got record
		if err := ReadJSON(path, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := WriteJSON(path, func() {}); err == nil {
		t.Error("encoded a function")
	}
	if err := WriteJSON(filepath.Join(dir, "no", "x.json"), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: got %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteJSON(filepath.Join(dir, "taken"), 1); err == nil {
		t.Error("replaced a directory")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestReadJSONDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	var v record
	if err := ReadJSON(path, &v); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("missing: got %v", err)
	}
	for _, text := range []string{"", " ", "{", `{"name":1}`, `{"name":"a"} {}`, `{"name":"a"}x`, `{"nmae":"a"}`, "\x00\x00\x00"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := ReadJSON(path, &v)
		damaged, ok := errors.AsType[*DamagedError](err)
		if !ok || damaged.Path != path || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// A reader never sees a part, however often the file is replaced.
func TestWriteJSONIsAtomic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	write := func(n int) error { return WriteJSON(path, record{strings.Repeat("x", n), make([]int, n)}) }
	if err := write(1); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for n := range 100 {
			if err := write(n * 10); err != nil {
				t.Error(err)
			}
		}
	})
	for {
		var r record
		if err := ReadJSON(path, &r); err != nil || len(r.Name) != len(r.Nodes) {
			t.Errorf("got %d and %d, %v", len(r.Name), len(r.Nodes), err)
		}
		select {
		case <-done:
			wg.Wait()
			return
		default:
		}
	}
}

func TestLockDir(t *testing.T) {
	dir := t.TempDir()
	unlock, err := LockDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := TryLockDir(dir); ok || err != nil {
		t.Errorf("locked twice: %v %v", ok, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = LockDir(ctx, dir)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want the end of the context", err)
	}
	if pid, ok := LockHolder(dir); ok && pid != os.Getpid() {
		t.Errorf("holder is %d", pid)
	}
	for range 2 {
		if err := unlock(); err != nil {
			t.Error(err)
		}
	}
	again, ok, err := TryLockDir(dir)
	if !ok || err != nil {
		t.Fatalf("after unlock: %v %v", ok, err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LockDir(t.Context(), file); err == nil {
		t.Error("locked a file")
	}
	if _, err := LockDir(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v", err)
	}
}

// Each holder removes the directory: nobody may ever have the lock on one that
// is gone, and nobody shares it.
func TestLockNewDirExcludes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "cluster")
	var holders, most int
	var mu sync.Mutex
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		holders += by
		most = max(most, holders)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				unlock, err := LockNewDir(t.Context(), dir)
				if err != nil {
					t.Error(err)
					return
				}
				count(1)
				if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
					t.Error(err)
				}
				count(-1) // the lock goes with the directory
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
				if err := unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d held the lock at once", most)
	}
}

type event struct {
	N    int    `json:"n"`
	Text string `json:"text,omitempty"`
}

func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	if events, torn, err := ReadLog[event](path); err != nil || torn != 0 || len(events) != 0 {
		t.Errorf("missing: %v %d %v", events, torn, err)
	}
	for n := range 3 {
		l, err := OpenLog(path, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Append(event{N: n}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Append(event{}); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("append after close: got %v", err)
		}
		// A crash in the middle of a line.
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"n":`); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	events, torn, err := ReadLog[event](path)
	if err != nil || fmt.Sprint(events) != "[{0 } {1 } {2 }]" || torn != 3 {
		t.Errorf("got %v, %d torn, %v", events, torn, err)
	}
}

func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	const limit = 8 << 10
	l, err := OpenLog(path, limit)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 200 {
				if err := l.Append(event{N: n, Text: strings.Repeat("x", 50)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := l.Append(event{N: -1}); err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, p := range []string{path, path + ".1"} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > limit {
		t.Errorf("takes %d bytes, the limit is %d", size, limit)
	}
	events, torn, err := ReadLog[event](path)
	if err != nil || torn != 0 || len(events) < 40 || events[len(events)-1].N != -1 {
		t.Errorf("got %d events, %d torn, %v", len(events), torn, err)
	}
	if err := l.Append(event{Text: strings.Repeat("x", limit)}); err != nil {
		t.Errorf("a record beyond the limit: %v", err)
	}
}
