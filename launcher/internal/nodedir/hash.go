package nodedir

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Hash returns a hash over all of a tree: names, modes, targets of links and
// content. Times don't count. It is the same exactly if nothing was changed.
func Hash(dir string) (string, error) { return hashTree(dir, hashFile) }

// Stamp is Hash with the times of files in place of their content: it reads none.
func Stamp(dir string) (string, error) {
	return hashTree(dir, func(w io.Writer, path string) error {
		info, err := os.Lstat(path)
		if err == nil {
			fmt.Fprintf(w, "%d ", info.ModTime().UnixNano())
		}
		return err
	})
}

func hashTree(dir string, file func(w io.Writer, path string) error) (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%q %v %d ", rel, info.Mode(), sizeOf(info))
		switch {
		case info.Mode().IsRegular():
			return file(sum, path)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			fmt.Fprintf(sum, "%q", target)
			return err
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("hash tree %q: %w", dir, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// sizeOf is 0 but for files: a directory's size is the filesystem's affair.
func sizeOf(info fs.FileInfo) int64 {
	if !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

func hashFile(w io.Writer, path string) error {
	f, err := openRegular(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
