package nodedir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func hasHoles() bool { return true }

// A full disk is an error that names the file.
func TestCopyToFullDisk(t *testing.T) {
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	})
	src := t.TempDir()
	if err := os.WriteFile(filepath.Join(src, "big"), make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(small, "to")
	if err := Make(to, "id"); err != nil {
		t.Fatal(err)
	}
	_, err := Copy(t.Context(), CopySpec{From: src, To: to})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "big") {
		t.Errorf("got %v, want a full disk, and the file", err)
	}
	if err := Remove(to, "id"); err != nil {
		t.Error(err)
	}
}
