package watch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"a", ".git"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ready, seen, done := make(chan bool), make(chan string), make(chan error, 1)
	go func() {
		done <- Watch(ctx, root, func(rel string) bool { return strings.HasSuffix(rel, ".go") }, func() { close(ready) }, func(rel string) error {
			seen <- rel
			return nil
		})
	}()
	<-ready
	write := func(name string) {
		if err := os.WriteFile(filepath.Join(root, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(".git/x.go")
	write("a/x.txt")
	write("a/x.go")
	if got := <-seen; got != "a/x.go" {
		t.Errorf("changed: %q", got)
	}
	if err := os.Remove(filepath.Join(root, "a/x.go")); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != "a/x.go" {
		t.Errorf("removed: %q", got)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
