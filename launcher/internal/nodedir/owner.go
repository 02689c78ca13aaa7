package nodedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Give makes everything in dir, and dir itself, the property of a user. What is hard-linked stays as it is: it is
// shared with a source that is not ours.
func Give(dir string, uid, gid uint32) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("give %q away: %w", dir, bare(err))
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // what runs there may remove its files
			return nil
		}
		if err != nil {
			return err
		}
		info, err := root.Lstat(name)
		if err == nil {
			err = give(root, name, info, uid, gid)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("give %q away: %w", dir, err)
	}
	return nil
}

func give(root *os.Root, name string, info fs.FileInfo, uid, gid uint32) error {
	at, ok := info.Sys().(*syscall.Stat_t)
	if !ok || at.Uid == uid && at.Gid == gid || !info.IsDir() && at.Nlink > 1 {
		return nil
	}
	return root.Lchown(name, int(uid), int(gid))
}

// Unreachable returns the first directory above dir that a user of those groups can't pass, and its mode; "" if there is none.
func Unreachable(dir string, uid uint32, groups []uint32) (string, fs.FileMode, error) {
	if above := filepath.Dir(dir); above != dir {
		if at, mode, err := Unreachable(above, uid, groups); at != "" || err != nil {
			return at, mode, err
		}
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) { // to be made
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	if passes(info, uid, groups) {
		return "", 0, nil
	}
	return dir, info.Mode().Perm(), nil
}

// passes reports whether a user may search a directory.
func passes(info fs.FileInfo, uid uint32, groups []uint32) bool {
	at, ok := info.Sys().(*syscall.Stat_t)
	if !ok || uid == 0 {
		return true
	}
	if at.Uid == uid {
		return info.Mode()&0o100 != 0
	}
	for _, g := range groups {
		if at.Gid == g {
			return info.Mode()&0o010 != 0
		}
	}
	return info.Mode()&0o001 != 0
}

// LetThrough lets everybody search the directories from dir up to top, which are ours, but not list them.
func LetThrough(dir, top string) error {
	for {
		info, err := os.Stat(dir)
		if err == nil && info.Mode()&0o011 != 0o011 {
			err = os.Chmod(dir, info.Mode().Perm()|0o011)
		}
		if err != nil || dir == top || dir == filepath.Dir(dir) {
			return err
		}
		dir = filepath.Dir(dir)
	}
}
