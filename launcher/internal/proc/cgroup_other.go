//go:build !linux

package proc

import (
	"errors"
	"fmt"
	"syscall"
)

// Cgroup is a control group, which only Linux has.
type Cgroup struct{}

// MakeCgroup fails with ErrUnsupported.
func MakeCgroup(name string) (*Cgroup, error) {
	return nil, fmt.Errorf("make cgroup %q: %w", name, errors.ErrUnsupported)
}

// Path is empty.
func (g *Cgroup) Path() string { return "" }

// Close does nothing.
func (g *Cgroup) Close() error { return nil }

// RemoveCgroup does nothing.
func RemoveCgroup(string) error { return nil }

func membersOf(string) map[int]bool { return nil }

func (g *Cgroup) enter(*syscall.SysProcAttr) {}

func stayOut(*syscall.SysProcAttr, error) bool { return false }
