//go:build !linux

package proc

import "errors"

func overwriteTitle(string) error { return errors.ErrUnsupported }

func runNoexec(string) error { return errors.ErrUnsupported }
