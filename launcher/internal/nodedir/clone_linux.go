package nodedir

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// clone makes dst share the blocks of src, if the filesystem can.
func clone(dst, src *os.File) bool {
	return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) == nil
}

// copyData copies what is not a hole and leaves the holes. The error wraps
// errors.ErrUnsupported, with nothing copied, if the filesystem does not support that.
func copyData(ctx context.Context, dst, src *os.File, size int64) error {
	for at := int64(0); at < size; {
		data, err := src.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // a hole up to the end
		}
		if errors.Is(err, unix.EINVAL) && at == 0 {
			return errors.ErrUnsupported
		}
		if err != nil {
			return err
		}
		hole, err := src.Seek(data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := src.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if _, err := dst.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if err := copyRange(ctx, dst, src, hole-data); err != nil {
			return err
		}
		at = hole
	}
	return dst.Truncate(size)
}
