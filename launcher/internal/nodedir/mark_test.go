package nodedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestMakeAndRemove(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "node")
	if err := Make(dir, "id-1"); err != nil {
		t.Fatal(err)
	}
	if id, ok, err := Marked(dir); id != "id-1" || !ok || err != nil {
		t.Errorf("marked: %q %v %v", id, ok, err)
	}
	if err := Make(dir, "id-1"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	if err := Mark(dir, "id-1"); err != nil {
		t.Errorf("marked twice: %v", err)
	}
	if err := Mark(dir, "id-2"); !errors.Is(err, ErrNotOurs) {
		t.Errorf("marked over: %v", err)
	}
	outside := filepath.Join(base, "outside")
	write(t, outside, "keep")
	write(t, dir, "a/b/c", "out -> "+outside, "a/up -> ../..", "ro/f")
	if err := os.Chmod(filepath.Join(dir, "ro"), 0o500); err != nil {
		t.Fatal(err)
	}
	if err := Remove(dir, "id-2"); !errors.Is(err, ErrNotOurs) {
		t.Errorf("removed by another cluster: %v", err)
	}
	for range 2 {
		if err := Remove(dir, "id-1"); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(list(t, base)); got != "[outside/ outside/keep]" {
		t.Errorf("left: %v", got)
	}
}

func TestRemoveIn(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "ours")
	if err := Make(dir, "id"); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "old/a/b", "kept")
	write(t, base, "plain/old/x")
	for _, bad := range []error{RemoveIn(dir, "id-2", "old"), RemoveIn(filepath.Join(base, "plain"), "id", "old")} {
		if !errors.Is(bad, ErrNotOurs) {
			t.Errorf("removed in what is not ours: %v", bad)
		}
	}
	for range 2 {
		if err := RemoveIn(dir, "id", "old"); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveIn(dir, "id", "../plain"); err == nil {
		t.Error("removed outside")
	}
	if got := fmt.Sprint(list(t, base)); got != "[ours/ ours/.onemore ours/kept plain/ plain/old/ plain/old/x]" {
		t.Errorf("left: %v", got)
	}
}

// TestDiscard: what is half removed has lost its name.
func TestDiscard(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "whole")
	if err := Make(dir, "id"); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "a/b")
	if err := Discard(dir, "id-2"); !errors.Is(err, ErrNotOurs) {
		t.Errorf("discarded by another cluster: %v", err)
	}
	for range 2 {
		if err := Discard(dir, "id"); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, base); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
}

func TestRemoveOnlyWhatIsOurs(t *testing.T) {
	base := t.TempDir()
	marked := filepath.Join(base, "marked")
	if err := Make(marked, "id"); err != nil {
		t.Fatal(err)
	}
	write(t, base, "plain/x", "file", "link -> marked", "linkmark/x", "linkmark/.onemore -> ../marked/.onemore", "wrong/.onemore", "dirmark/.onemore/")
	before := list(t, base)
	for _, name := range []string{"plain", "file", "link", "linkmark", "wrong", "dirmark"} {
		if err := Remove(filepath.Join(base, name), "id"); err == nil {
			t.Errorf("%s: removed", name)
		}
		if name == "file" || name == "link" {
			continue
		}
		if id, ok, err := Marked(filepath.Join(base, name)); ok || err != nil {
			t.Errorf("%s: marked %q, %v", name, id, err)
		}
	}
	if err := Remove(filepath.Join(base, "wrong"), "wrong/.onemore"); !errors.Is(err, ErrNotOurs) {
		t.Errorf("removed by a mark that is none: %v", err)
	}
	if after := list(t, base); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("got  %v\nwant %v", after, before)
	}
	if _, _, err := Marked(filepath.Join(base, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	for _, id := range []string{"", "a\nb"} {
		if err := Mark(filepath.Join(base, "plain"), id); err == nil {
			t.Errorf("id %q was taken", id)
		}
	}
}

func TestMakeFails(t *testing.T) {
	base := t.TempDir()
	if err := Make(filepath.Join(base, "no", "parent"), "id"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := Make(filepath.Join(base, "x"), "bad\nid"); err == nil {
		t.Error("a bad id was taken")
	}
	if got := list(t, base); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}
