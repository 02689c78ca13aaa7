//go:build !linux

package nodedir

import (
	"context"
	"errors"
	"os"
)

// clone of an open file is not to be had here.
func clone(_, _ *os.File) bool { return false }

// copyData can't find holes here: a copy has them filled with zeros.
func copyData(context.Context, *os.File, *os.File, int64) error { return errors.ErrUnsupported }
