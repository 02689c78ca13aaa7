package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk: no space for the nodes is said, and nothing is half done.
func TestFullDisk(t *testing.T) {
	full := smallDisk(t, "256k")
	src := heavySource(t, 200<<10)
	_, errs, code := full.run("up", "3", "--base", "auto", "-t", "onemore", "-s", src)
	if code != 1 || !strings.Contains(errs, "no space left on device") || !strings.Contains(errs, "onemore") {
		t.Errorf("exit %d, want 1 and a word about the space: %s", code, errs)
	}
	full.nothingLeft()
}

// smallDisk is a host whose clusters are on a disk of that size; it skips the test where none can be made.
func smallDisk(t *testing.T, size string) *host {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounts a small tmpfs: needs root")
	}
	small := filepath.Join(newHost(t).home, "_small")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) })
	return &host{t: t, home: small}
}

// TestFullDiskUpgrade: an upgrade for which there is no space leaves the node as it was, with its data, and running.
func TestFullDiskUpgrade(t *testing.T) {
	h := smallDisk(t, "4m")
	h.ok("-c", "u", "up", "2", "--base", "auto", "-q")
	mine := filepath.Join(h.home, "u", "1", "onemore", "data", "mine")
	if err := os.WriteFile(mine, []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	src := heavySource(t, 5<<20)
	_, errs, code := h.run("-c", "u", "upgrade", "-s", src)
	if code != 1 || !strings.Contains(errs, "no space left on device") || !strings.Contains(errs, "nothing was changed") {
		t.Errorf("exit %d, want 1 and a word about the space: %s", code, errs)
	}
	if b, err := os.ReadFile(mine); string(b) != "kept" {
		t.Errorf("its data: %q, %v", b, err)
	}
	st, _ := h.status("u")
	if st.State != "running" {
		t.Errorf("after it: %+v", st)
	}
	h.downClean("u", st)
	h.nothingLeft()
}

// TestRemovalStops: a removal that can't go on has taken away what would let anybody start half a cluster.
func TestRemovalStops(t *testing.T) {
	h := smallDisk(t, "4m")
	h.ok("-c", "b", "up", "2", "--base", "auto", "-q")
	st, _ := h.status("b")
	busy := filepath.Join(h.home, "b", "2", "onemore", "data")
	if err := syscall.Mount(t.TempDir(), busy, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := h.run("-c", "b", "down"); code != 1 || !strings.Contains(errs, "busy") {
		t.Errorf("down: exit %d, want 1 and why: %s", code, errs)
	}
	h.killKeeper("b")
	if now, ok := h.status("b"); !ok || now.State != "lost" || len(now.Nodes) > 0 {
		t.Errorf("status: %+v, want lost, with no nodes", now)
	}
	if err := syscall.Unmount(busy, 0); err != nil {
		t.Fatal(err)
	}
	h.downClean("b", st)
	h.nothingLeft()
}

// TestFullDiskDown: a cluster whose disk has become full can be looked at and taken down, with its keeper and after a crash of
// it, and what can't be done for want of space says so and changes nothing.
func TestFullDiskDown(t *testing.T) {
	for _, crash := range []bool{false, true} {
		full := smallDisk(t, "2m")
		full.ok("-c", "f", "up", "2", "--base", "auto", "-q")
		st, _ := full.status("f")
		ballast, err := os.Create(filepath.Join(full.home, "_ballast"))
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
		for range 2 { // what the first could not record stands in nobody's way
			if _, errs, code := full.run("-c", "f", "add"); code != 1 || !strings.Contains(errs, "no space left on device") {
				t.Errorf("crash %v: add: exit %d: %s", crash, code, errs)
			}
		}
		if now, _ := full.status("f"); len(now.Nodes) != 2 || !crash && now.State != "running" {
			t.Errorf("crash %v: after an add that had no space: %+v", crash, now)
		}
		full.downClean("f", st)
		full.nothingLeft()
	}
}
