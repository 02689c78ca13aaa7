package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// content is all that a store holds, in the order of its iteration.
func content(t *testing.T, s *Store) []string {
	t.Helper()
	all := []string{}
	err := errors.Join(
		s.Retained(func(topic string, v []byte) error { all = append(all, fmt.Sprintf("r %s=%s", topic, v)); return nil }),
		s.Sessions(func(client string, v []byte) error { all = append(all, fmt.Sprintf("s %s=%s", client, v)); return nil }),
		s.Messages(func(client string, seq uint64, v []byte) error {
			all = append(all, fmt.Sprintf("m %s %d=%s", client, seq, v))
			return nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestKeepsOverReopen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.PutRetained("a/b", []byte("1"))
	s.PutRetained("gone", []byte("2"))
	s.DeleteRetained("gone")
	s.PutSession("c", []byte{})
	for _, seq := range []uint64{300, 2, 1, 256} {
		s.AddMessage("c", seq, fmt.Append(nil, "v", seq))
		s.AddMessage("cc", seq, fmt.Append(nil, "w", seq))
	}
	s.DeleteMessage("c", 2)
	want := []string{"r a/b=1", "s c=", "m c 1=v1", "m c 256=v256", "m c 300=v300", "m cc 1=w1", "m cc 2=w2", "m cc 256=w256", "m cc 300=w300"}
	if diff := cmp.Diff(want, content(t, s)); diff != "" {
		t.Error(diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, content(t, open(t, dir))); diff != "" {
		t.Error("after reopening:", diff)
	}
}

func TestFileIsMadeByTheFirstWrite(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.DeleteSession("never was")
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, File)
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("stat of %s before the first write: %v", file, err)
	}
	s.PutSession("c", []byte("x"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); ; { // written by itself, without Flush
		if _, err := os.Stat(file); err == nil {
			tick.Stop()
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("not written by itself")
		}
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
}

func TestReset(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.PutSession("old", []byte("x"))
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	s.PutSession("pending", []byte("x"))
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, s); len(got) != 0 {
		t.Errorf("after reset: %q", got)
	}
	s.PutSession("new", []byte("y"))
	if diff := cmp.Diff([]string{"s new=y"}, content(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestAfterClose(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	s.PutSession("late", []byte("x"))
	if err := s.Reset(); !errors.Is(err, ErrClosed) {
		t.Errorf("Reset after Close = %v", err)
	}
	if got := content(t, open(t, dir)); len(got) != 0 {
		t.Errorf("written after Close: %q", got)
	}
}

func TestWriteErrorKeepsChanges(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	s.PutSession("c", []byte("x"))
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err == nil {
		t.Fatal("Flush without a directory worked")
	}
	if err := os.Rename(dir+"2", dir); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"s c=x"}, content(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "missing"), Options{}); err == nil {
		t.Error("opened in a missing directory")
	}
}

func TestDamage(t *testing.T) {
	write := func(dir string) []byte {
		s := open(t, dir)
		for i := range 20 {
			s.PutRetained(fmt.Sprint("t", 10+i), bytes.Repeat([]byte{'y'}, 3000))
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(dir, File))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, tt := range map[string]struct {
		spoil   func(raw []byte) []byte
		keeps   int
		damaged bool
	}{
		"pages of zeros in the middle":  {func(b []byte) []byte { clear(b[8192 : 8192+4096]); return b }, 17, true},
		"zeros to the end":              {func(b []byte) []byte { clear(b[8192:]); return b }, 2, true},
		"one bit":                       {func(b []byte) []byte { b[30000] ^= 4; return b }, 19, true},
		"another format":                {func(b []byte) []byte { return []byte("this is not a log, but long enough to be one") }, 0, true},
		"the end of a write is missing": {func(b []byte) []byte { return b[:len(b)-7] }, 19, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, File)
			raw := write(dir)
			if err := os.WriteFile(file, tt.spoil(raw), 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, dir)
			if got := len(content(t, s)); got != tt.keeps {
				t.Errorf("%d values are left, want %d", got, tt.keeps)
			}
			aside, err := filepath.Glob(file + ".damaged-*")
			if err != nil || (len(aside) == 1) != tt.damaged {
				t.Errorf("set aside: %q, %v", aside, err)
			}
			s.PutRetained("after", []byte("x"))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if got := len(content(t, open(t, dir))); got != tt.keeps+1 {
				t.Errorf("%d values after another start, want %d", got, tt.keeps+1)
			}
		})
	}
}

// image is the content of what a crash at this moment would leave on disk.
func image(t *testing.T, dir string) []string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return content(t, open(t, to))
}

func TestWaitIsOnDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 50 {
		client := fmt.Sprint("c", i)
		s.Together(func() {
			s.PutSession(client, []byte("x"))
			s.AddMessage(client, 1, []byte("m"))
		})
		if err := s.Wait(s.Number()); err != nil {
			t.Fatal(err)
		}
		if got := len(image(t, dir)); got != 2*(i+1) {
			t.Fatalf("%d values are on disk, want %d", got, 2*(i+1))
		}
	}
}

func TestWaitsShareABatch(t *testing.T) {
	s := open(t, t.TempDir())
	var wg sync.WaitGroup
	const n = 2000
	began := time.Now()
	for i := range n {
		wg.Go(func() {
			s.AddMessage("c", uint64(i), []byte("x"))
			if err := s.Wait(s.Number()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(content(t, s)); got != n {
		t.Errorf("%d values, want %d", got, n)
	}
	t.Logf("%d commits in %s", n, time.Since(began))
}

func TestWhatIsDeletedAtOnceIsNeverWritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.AddMessage("c", 1, []byte("x"))
	s.PutMessage("c", 1, []byte("y"))
	s.DeleteMessage("c", 1)
	if err := errors.Join(s.Wait(s.Number()), s.Flush()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, File)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

func TestFailedWriteIsTriedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	s.PutSession("c", []byte("x"))
	if err := s.Wait(s.Number()); err == nil {
		t.Fatal("stored without a directory")
	}
	if n, err := s.Trouble(); err == nil || n == 0 {
		t.Errorf("trouble %v, %d failures", err, n)
	}
	if err := os.Rename(dir+"2", dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for { // by itself, without another change
		if _, err := s.Trouble(); err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("not tried again")
		}
	}
	if diff := cmp.Diff([]string{"s c=x"}, image(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	value := bytes.Repeat([]byte{'v'}, 1<<20)
	for i := range 3 * compactMin >> 20 {
		s.PutRetained(fmt.Sprint("t", i%5), append(value, byte('0'+i%5)))
		s.AddMessage("c", uint64(i), []byte("m"))
		s.DeleteMessage("c", uint64(i))
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	s.DeleteRetained("t0")
	want := content(t, s)
	if len(want) != 4 {
		t.Fatalf("%d values, want 4", len(want))
	}
	if diff := cmp.Diff(want, image(t, dir)); diff != "" {
		t.Error("after a crash:", diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += fi.Size()
	}
	if size > compactMin+compactMin/2 {
		t.Errorf("the log has %d bytes", size)
	}
	if diff := cmp.Diff(want, content(t, open(t, dir))); diff != "" {
		t.Error("after reopening:", diff)
	}
}
