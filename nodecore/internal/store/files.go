package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	compactMin = 32 << 20 // size of a log from which on it is compacted, if it is
	compactBy  = 3        // times as large as after the last compaction
	bufferMax  = 256 << 10
)

// files are the log: a base, and what was written since it was begun, in files with rising numbers. Except for the compaction,
// they are guarded by Store.io.
type files struct {
	path   string
	log    *slog.Logger
	noSync bool

	number   int      // of the last file; the base is 0
	file     *os.File // the last one; nil until there is something to write
	size     int64    // of its sound part
	before   int64    // size of the files before it
	base     int64    // size of the base
	unsynced bool
	buf      []byte
	content  map[key][]byte // all values; nil if it would have to be read again

	compaction sync.WaitGroup
	busy       chan error // result of the compaction that runs; nil if none does
}

func (f *files) name(number int) string {
	if number == 0 {
		return f.path
	}
	return f.path + "." + strconv.Itoa(number)
}

// numbers lists the files that there are.
func (f *files) numbers() ([]int, error) {
	entries, err := os.ReadDir(filepath.Dir(f.path))
	if err != nil {
		return nil, err
	}
	var all []int
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), filepath.Base(f.path))
		if ok && rest == "" {
			all = append(all, 0)
		} else if n, err := strconv.Atoi(strings.TrimPrefix(rest, ".")); ok && err == nil && n > 0 {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// load reads the log. Of a damaged one a copy is set aside, and what can be read is the new base.
func (f *files) load() error {
	all, err := f.numbers()
	if err != nil || len(all) == 0 {
		return err
	}
	f.content = map[key][]byte{}
	damaged := false
	for _, n := range all {
		bad, err := f.read(n)
		if err != nil {
			return err
		}
		damaged = damaged || bad
	}
	if damaged {
		if f.size, err = f.writeBase(f.content, all); err != nil {
			return err
		}
		f.number, f.before, f.base = 0, 0, f.size
	}
	return nil
}

// read adds a file to the content.
func (f *files) read(n int) (damaged bool, err error) {
	raw, err := os.ReadFile(f.name(n))
	if err != nil {
		return false, err
	}
	sound, damaged := scan(raw, func(k key, value []byte) {
		if value == nil {
			delete(f.content, k)
		} else {
			f.content[k] = value
		}
	})
	f.before += f.size
	f.number, f.size = n, int64(sound)
	if n == 0 {
		f.base = f.size
	}
	if !damaged {
		return false, nil
	}
	aside := fmt.Sprintf("%s.damaged-%d", f.name(n), time.Now().Unix())
	f.log.Warn("store is damaged: what can be read of it is kept, and the file is set aside", "file", f.name(n), "aside", aside)
	if err := os.Link(f.name(n), aside); err != nil && !errors.Is(err, fs.ErrExist) {
		return true, fmt.Errorf("set damaged store aside: %w", err)
	}
	return true, nil
}

// open makes the last file ready to be written.
func (f *files) open() error {
	if f.file != nil {
		return nil
	}
	file, err := os.OpenFile(f.name(f.number), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if f.size == 0 {
		_, err = file.WriteAt([]byte(fileMagic), 0)
		f.size = int64(len(fileMagic))
	} else {
		err = file.Truncate(f.size) // the end of a write that was cut off
	}
	if err == nil && !f.noSync {
		err = syncDir(f.path)
	}
	if err != nil {
		if f.size == int64(len(fileMagic)) {
			f.size = 0
		}
		return errors.Join(err, file.Close())
	}
	f.file = file
	return nil
}

// append writes changes as one record.
func (f *files) append(changes map[key]change, sync bool) error {
	if err := f.compacted(false); err != nil {
		f.log.Error("compact store", "error", err)
	}
	if len(changes) > 0 && !(f.file == nil && f.size == 0 && onlyDeletes(changes)) {
		if err := f.open(); err != nil {
			return err
		}
		b := beginRecord(f.buf[:0])
		for k, c := range changes {
			b = appendChange(b, k, c.value)
		}
		endRecord(b, 0)
		if f.buf = b; cap(b) > bufferMax {
			f.buf = nil
		}
		f.content, f.unsynced = nil, true
		if _, err := f.file.WriteAt(b, f.size); err != nil {
			return errors.Join(err, f.file.Truncate(f.size))
		}
		if err := f.sync(sync); err != nil {
			return err
		}
		f.size += int64(len(b))
		f.compact()
		return nil
	}
	return f.sync(sync)
}

func (f *files) sync(sync bool) error {
	if !sync || f.noSync || !f.unsynced || f.file == nil {
		return nil
	}
	if err := syncData(f.file); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	f.unsynced = false
	return nil
}

func onlyDeletes(changes map[key]change) bool {
	for _, c := range changes {
		if c.value != nil {
			return false
		}
	}
	return true
}

// all returns all values, from disk if need be.
func (f *files) all() (map[key][]byte, error) {
	if err := f.compacted(true); err != nil {
		return nil, err
	}
	if f.content != nil || f.size == 0 {
		return f.content, nil
	}
	return readAll(f.path, f.number, f.size)
}

// each calls fn for all values of a bucket, by key.
func (f *files) each(b bucket, fn func(k string, v []byte) error) error {
	content, err := f.all()
	if err != nil {
		return fmt.Errorf("read store %q: %w", f.path, err)
	}
	var ids []string
	for k := range content {
		if k.bucket == b {
			ids = append(ids, k.id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := fn(id, content[key{b, id}]); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes the log.
func (f *files) remove() error {
	err := errors.Join(f.compacted(true), f.close())
	numbers, lerr := f.numbers()
	err = errors.Join(err, lerr)
	for _, n := range numbers {
		err = errors.Join(err, os.Remove(f.name(n)))
	}
	*f = files{path: f.path, log: f.log, noSync: f.noSync}
	return err
}

func (f *files) close() error {
	err := f.compacted(true)
	if f.file == nil {
		return err
	}
	err = errors.Join(err, f.file.Close())
	f.file = nil
	return err
}
