package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// chunk is how much goes into one record of a base, about, so that damage costs little.
const chunk = 64 << 10

// compact starts a new file, and the compaction of those before it, once the log has grown.
func (f *files) compact() {
	if total := f.before + f.size; f.busy != nil || total < compactMin || total < compactBy*f.base {
		return
	}
	old, size, number := f.file, f.size, f.number
	f.file, f.size, f.number = nil, 0, number+1
	if err := f.open(); err != nil { // as if there were nothing to compact
		f.file, f.size, f.number = old, size, number
		return
	}
	f.before += size
	f.busy = make(chan error, 1)
	busy := f.busy
	f.compaction.Go(func() {
		busy <- errors.Join(old.Close(), f.rewrite(number, size))
	})
}

// rewrite makes one base of all files up to a number, of which the last one is sound up to size.
func (f *files) rewrite(number int, size int64) error {
	content, err := readAll(f.path, number, size)
	if err != nil {
		return err
	}
	var old []int
	for n := 1; n <= number; n++ {
		old = append(old, n)
	}
	_, err = f.writeBase(content, old)
	return err
}

// compacted takes note of a compaction that is over; with wait, it waits for that.
func (f *files) compacted(wait bool) error {
	if f.busy == nil {
		return nil
	}
	if !wait && len(f.busy) == 0 {
		return nil
	}
	err := <-f.busy
	f.compaction.Wait()
	f.busy = nil
	if fi, serr := os.Stat(f.path); err == nil && serr == nil {
		f.base, f.before = fi.Size(), fi.Size()
	}
	return err
}

// readAll reads the values of the files up to a number, of which the last one is sound up to size.
func readAll(path string, number int, size int64) (map[key][]byte, error) {
	f := files{path: path}
	numbers, err := f.numbers()
	if err != nil {
		return nil, err
	}
	content := map[key][]byte{}
	for _, n := range numbers {
		if n > number {
			break
		}
		raw, err := os.ReadFile(f.name(n))
		if err != nil {
			return nil, err
		}
		if n == number {
			raw = raw[:min(size, int64(len(raw)))]
		}
		_, damaged := scan(raw, func(k key, value []byte) {
			if value == nil {
				delete(content, k)
			} else {
				content[k] = value
			}
		})
		if damaged {
			return nil, fmt.Errorf("file %q is damaged", f.name(n))
		}
	}
	return content, nil
}

// writeBase makes a new base, and removes the files that it stands for. Until they are removed, they change nothing if they are read
// after it.
func (f *files) writeBase(content map[key][]byte, old []int) (size int64, err error) {
	temp := f.path + ".new"
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	size, err = writeChunks(file, content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(temp, f.path); err != nil {
		return 0, err
	}
	if err := syncDir(f.path); err != nil {
		return 0, err
	}
	for _, n := range old {
		if n == 0 {
			continue
		}
		if err := os.Remove(f.name(n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
	}
	return size, nil
}

func writeChunks(file *os.File, content map[key][]byte) (size int64, err error) {
	write := func(b []byte) {
		if err == nil {
			_, err = file.Write(b)
			size += int64(len(b))
		}
	}
	write([]byte(fileMagic))
	b := beginRecord(nil)
	for k, v := range content {
		b = appendChange(b, k, v)
		if len(b) >= chunk {
			endRecord(b, 0)
			write(b)
			b = beginRecord(b[:0])
		}
	}
	if len(b) > recordHead {
		endRecord(b, 0)
		write(b)
	}
	return size, err
}

func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
