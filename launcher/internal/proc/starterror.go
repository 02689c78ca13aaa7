package proc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// StartError says why a program could not be started. The kernel has one ENOENT and one EACCES for a program, its interpreter,
// its working directory and the file system that it lies on: Why names the one that is meant.
type StartError struct {
	Program string // as it was asked for
	Why     string
	Err     error // the system's
}

func (e *StartError) Error() string { return fmt.Sprintf("start %q: %s", e.Program, e.Why) }
func (e *StartError) Unwrap() error { return e.Err }

// Permanent reports whether another try would end in the same way: a file that is missing or may not be executed, rather
// than a host that has no memory or processes left.
func (e *StartError) Permanent() bool {
	if errors.Is(e.Err, exec.ErrNotFound) || errors.Is(e.Err, exec.ErrDot) {
		return true
	}
	errno, ok := errors.AsType[syscall.Errno](e.Err)
	return ok && ofFiles(errno)
}

// ofFiles reports whether a start failed because of a file or folder.
func ofFiles(errno syscall.Errno) bool {
	switch errno {
	case syscall.ENOENT, syscall.EACCES, syscall.ENOTDIR, syscall.ENOEXEC, syscall.ELOOP, syscall.ENAMETOOLONG:
		return true
	}
	return false
}

// startError makes the error of a command that could not be started.
func startError(c *exec.Cmd, err error) error {
	// os/exec repeats the program's name, and os the call that it made.
	if e, ok := errors.AsType[*exec.Error](err); ok {
		err = e.Err
	}
	err = bare(err)
	e := &StartError{Program: c.Args[0], Why: err.Error(), Err: err}
	if errno, ok := errors.AsType[syscall.Errno](err); ok && ofFiles(errno) {
		path := c.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(c.Dir, path)
		}
		if why := whyNoDir(c.Dir); why != "" {
			e.Why = why
		} else if why := whyNotExecutable(path, errno, 4); why != "" { // the kernel follows no more interpreters
			e.Why = why
		}
	}
	return e
}

// whyNoDir says what is wrong with a working directory; "" if nothing is.
func whyNoDir(dir string) string {
	if dir == "" {
		return ""
	}
	fi, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("its working directory %s does not exist", dir)
	case err != nil:
		return fmt.Sprintf("its working directory %s can't be used: %v", dir, bare(err))
	case !fi.IsDir():
		return fmt.Sprintf("its working directory %s is not a folder", dir)
	case unix.Access(dir, unix.X_OK) != nil:
		return fmt.Sprintf("its working directory %s may not be entered by this user", dir)
	}
	return ""
}

// whyNotExecutable says why the kernel answers errno to the execution of a file; "" if nothing is found. depth bounds the
// chain of interpreters.
func whyNotExecutable(path string, errno syscall.Errno, depth int) string {
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("there is no file %s", path)
	case err != nil:
		return fmt.Sprintf("%s can't be used: %v", path, bare(err))
	case fi.IsDir():
		return fmt.Sprintf("%s is a folder", path)
	case fi.Mode()&0o111 == 0:
		return fmt.Sprintf("%s is not executable; `chmod +x` makes it so", path)
	case mountedNoexec(path):
		return fmt.Sprintf("%s lies on a file system that is mounted noexec: nothing on it may be executed", path)
	case unix.Access(path, unix.X_OK) != nil:
		return fmt.Sprintf("%s may not be executed by this user", path)
	}
	head := beginning(path)
	if line, ok := strings.CutPrefix(head, "#!"); ok && depth > 0 {
		line, _, _ = strings.Cut(line, "\n")
		interpreter, _, _ := strings.Cut(strings.Trim(line, " \t"), " ")
		if why := whyNotExecutable(strings.TrimRight(interpreter, "\t"), errno, depth-1); why != "" {
			if strings.HasSuffix(line, "\r") {
				return fmt.Sprintf("the first line of %s ends with a carriage return, which the kernel takes for a part of its interpreter's name %q", path, interpreter)
			}
			return fmt.Sprintf("the interpreter in the first line of %s: %s", path, why)
		}
	}
	switch {
	case errno == syscall.ENOEXEC:
		return fmt.Sprintf("%v: %s is neither a program for this machine nor a script that begins with #! and its interpreter", errno, path)
	case errno == syscall.ENOENT && strings.HasPrefix(head, "\x7fELF"):
		return fmt.Sprintf("the dynamic loader that %s needs is not installed: it was built for another system", path)
	}
	return ""
}

// beginning is what the kernel reads of a file to decide how it is executed; "" if it can't be read.
func beginning(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, 256)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return ""
	}
	return string(b[:n])
}

// bare strips the call and the path from an error of package os.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
