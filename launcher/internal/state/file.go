package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// DamagedError says that a state file can't be read as what it should be.
type DamagedError struct {
	Path string
	Err  error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("read %q: damaged: %v", e.Path, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// WriteJSON replaces the file by v as indented JSON, mode 0600. A reader, and a
// crash at any moment, sees the old content or the new, never a part.
func WriteJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %q: %w", path, err)
	}
	if err := replace(path, append(b, '\n')); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

// WriteFile replaces the file by data, in the same way.
func WriteFile(path string, data []byte) error {
	if err := replace(path, data); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

func replace(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in the directory last. Filesystems that can't do it
// say so with EINVAL; there is nothing to be done about those.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil // renamed already: a directory that can't be read is no failure
	}
	_ = d.Sync()
	return d.Close()
}

// ReadJSON reads a file that WriteJSON wrote into v. The error wraps
// fs.ErrNotExist when there is none, and is a *DamagedError when the content is
// not exactly one JSON value that fits v; unknown fields don't fit.
func ReadJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %q: %w", path, bare(err))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		return &DamagedError{Path: path, Err: err}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &DamagedError{Path: path, Err: errors.New("something follows the JSON value")}
	}
	return nil
}
