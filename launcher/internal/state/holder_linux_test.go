package state

import (
	"os"
	"testing"
)

func TestLockHolderText(t *testing.T) {
	locks := `1: POSIX  ADVISORY  READ 70 08:01:4242 128 128
2: FLOCK  ADVISORY  WRITE 71 08:01:4242 0 EOF
2: -> FLOCK  ADVISORY  WRITE 72 08:01:4242 0 EOF
3: FLOCK  ADVISORY  WRITE -1 08:01:4343 0 EOF
4: garbage
`
	if pid, ok := lockHolder(locks, "08:01:4242"); pid != 71 || !ok {
		t.Errorf("got %d %v", pid, ok)
	}
	for _, file := range []string{"08:01:4343", "08:01:1", ""} {
		if pid, ok := lockHolder(locks, file); ok {
			t.Errorf("%s: got %d", file, pid)
		}
	}
}

func TestLockHolderIsUs(t *testing.T) {
	dir := t.TempDir()
	unlock, err := LockDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if pid, ok := LockHolder(dir); !ok || pid != os.Getpid() {
		t.Errorf("got %d %v, want %d", pid, ok, os.Getpid())
	}
}
