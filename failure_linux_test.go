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

// TestFullDiskDown: a cluster whose disk has become full can be looked at and taken down, with its keeper and after a crash of
// it, and what can't be done for want of space says so and changes nothing.
func TestFullDiskDown(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounts a small tmpfs: needs root")
	}
	for _, crash := range []bool{false, true} {
		h := newHost(t)
		small := filepath.Join(h.home, "_small")
		if err := os.Mkdir(small, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=2m"); err != nil {
			t.Skipf("mount a tmpfs: %v", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) })
		full := &host{t: t, home: small}
		full.ok("-c", "f", "up", "2", "--base", "auto", "-q")
		st, _ := full.status("f")
		ballast, err := os.Create(filepath.Join(small, "_ballast"))
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{64 << 10, 512, 1} {
			for b := make([]byte, size); err == nil; {
				_, err = ballast.Write(b)
			}
			err = nil
		}
		ballast.Close()
		if crash {
			full.killKeeper("f")
		}
		full.ok("-c", "f", "status")
		if _, errs, code := full.run("-c", "f", "add"); code != 1 || !strings.Contains(errs, "no space left on device") {
			t.Errorf("crash %v: add: exit %d: %s", crash, code, errs)
		}
		if now, _ := full.status("f"); len(now.Nodes) != 2 || !crash && now.State != "running" {
			t.Errorf("crash %v: after an add that had no space: %+v", crash, now)
		}
		full.downClean("f", st)
		full.nothingLeft()
	}
}
