package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, nil)
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

// content is all that a store holds, in the order it tells it.
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
		s.PutMessage("c", seq, fmt.Append(nil, "v", seq))
		s.PutMessage("cc", seq, fmt.Append(nil, "w", seq))
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
	if _, err := Open(filepath.Join(t.TempDir(), "missing"), nil); err == nil {
		t.Error("opened in a missing directory")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, File), []byte("this is not a database, but long enough to be read as one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, nil); err == nil {
		t.Error("opened garbage")
	}
}
