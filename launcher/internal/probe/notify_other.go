//go:build !linux

package probe

import (
	"os"
	"path/filepath"
)

// notifyAddr is a path in a new directory of its own. The name plays no part: a
// path may have about 100 bytes only.
func notifyAddr(string) (addr string, remove func() error, err error) {
	dir, err := os.MkdirTemp("/tmp", "onemore-*")
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(dir, "notify"), func() error { return os.RemoveAll(dir) }, nil
}
