//go:build !linux

package proc

import (
	"errors"
	"fmt"
	"syscall"
)

// Cgroup is a control group, which only Linux has.
type Cgroup struct{}

// CgroupPath fails with ErrUnsupported.
func CgroupPath(name string) (string, error) {
	return "", fmt.Errorf("make cgroup %q: %w", name, errors.ErrUnsupported)
}

// MakeCgroup fails with ErrUnsupported.
func MakeCgroup(path string) (*Cgroup, error) {
	return nil, fmt.Errorf("make cgroup %s: %w", path, errors.ErrUnsupported)
}

// Path is empty.
func (g *Cgroup) Path() string { return "" }

// Remove does nothing.
func (g *Cgroup) Remove() error { return nil }

// RemoveCgroup does nothing.
func RemoveCgroup(string) error { return nil }

func membersOf(string) map[int]bool { return nil }

func (g *Cgroup) enter(*syscall.SysProcAttr) {}

func stayOut(*syscall.SysProcAttr, error) bool { return false }
