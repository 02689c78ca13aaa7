package nodedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// WriteFile replaces the file with the slash-separated name in the directory, and
// makes the directories above it. A reader sees the old content or the new. An
// existing file keeps its mode; one that is a link, symbolic or hard, is replaced
// by a file of its own, so that nothing outside of dir is ever written.
func WriteFile(dir, name string, data []byte, perm fs.FileMode) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("write %q in %q: %w", name, dir, bare(err))
	}
	defer root.Close()
	if err := replace(root, filepath.FromSlash(name), data, perm); err != nil {
		return fmt.Errorf("write %q in %q: %w", name, dir, bare(err))
	}
	return nil
}

func replace(root *os.Root, name string, data []byte, perm fs.FileMode) (err error) {
	if above := filepath.Dir(name); above != "." {
		if err := root.MkdirAll(above, 0o700); err != nil {
			return err
		}
	}
	if info, err := root.Stat(name); err == nil && info.Mode().IsRegular() {
		perm = info.Mode().Perm()
	}
	temp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".onemore-tmp")
	open := func() (*os.File, error) {
		return root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	}
	f, err := open()
	if errors.Is(err, fs.ErrExist) { // left by a crash
		if err := root.Remove(temp); err != nil {
			return err
		}
		f, err = open()
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, root.Remove(temp))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return root.Rename(temp, name)
}

// ReadFile reads the file with the slash-separated name in the directory; links
// that lead out of it are refused.
func ReadFile(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read %q in %q: %w", name, dir, bare(err))
	}
	defer root.Close()
	b, err := root.ReadFile(filepath.FromSlash(name))
	if err != nil {
		return nil, fmt.Errorf("read %q in %q: %w", name, dir, bare(err))
	}
	return b, nil
}
