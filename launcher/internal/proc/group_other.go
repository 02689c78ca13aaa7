//go:build !linux

package proc

import "errors"

// CanGroup says why processes can't be given a group id of their own, or nil.
func CanGroup(int) error { return errors.New("it takes Linux") }
