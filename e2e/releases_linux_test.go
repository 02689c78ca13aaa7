package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReleaseFullDisk: an archive that comes but can't be unpacked leaves nothing in the cache.
func TestReleaseFullDisk(t *testing.T) {
	program := real(t, "nats-server")
	small := smallDisk(t, "64k") // it takes neither the program nor the archive
	v, h := newVendor(t)
	v.putNATS(t, "9.0.1", program)
	archive := filepath.Join(t.TempDir(), "server.tar.gz")
	if err := os.WriteFile(archive, gzipped(t, map[string]string{"server": heavySource(t, 1<<20)}), 0o644); err != nil {
		t.Fatal(err)
	}
	h.env[1] = "XDG_CACHE_HOME=" + small.home
	for what, args := range map[string][]string{
		"the transfer":  {"up", "2", "-t", "nats@9.0.1", "--base", "auto"},
		"the unpacking": {"up", "2", "-t", "onemore", "-s", archive, "--base", "auto"}, // megabytes of zeros: a small archive
	} {
		_, errs, code := h.run(args...)
		if code != 1 || !strings.Contains(errs, "no space left on device") {
			t.Errorf("%s: exit %d, want 1 and a word about the space: %s", what, code, errs)
		}
		h.wantNoRelease()
	}
}
