package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk: no space for the nodes is said, and nothing is half done.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounts a small tmpfs: needs root")
	}
	h := newHost(t)
	small := filepath.Join(h.home, "_small")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("mount a tmpfs: %v", err)
	}
	defer func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) }()
	src := t.TempDir()
	if err := os.CopyFS(src, os.DirFS("templates/onemore/files")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "ballast"), make([]byte, 200<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	full := &host{t: t, home: small}
	_, errs, code := full.run("up", "3", "--base", "auto", "-t", "onemore", "-s", src)
	if code != 1 || !strings.Contains(errs, "no space left on device") || !strings.Contains(errs, "onemore") {
		t.Errorf("exit %d, want 1 and a word about the space: %s", code, errs)
	}
	full.nothingLeft()
}
