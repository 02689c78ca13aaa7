// Package store is what a node keeps on disk about MQTT: retained messages, persistent sessions and
// the messages waiting in them or under way, as opaque values.
//
// A Put or Delete returns at once, is coalesced with what follows, and
// reaches the file within FlushInterval, or by Flush or Close. A process that is killed loses at most
// that; a machine that loses power may lose more, as batches are not synced one by one. The file is
// made by the first write, so that an idle node costs no I/O at its start.
//
// Start at Open.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// FlushInterval is the longest that a change stays in memory only.
const FlushInterval = 50 * time.Millisecond

// File is the name of the store's file in its directory.
const File = "mqtt.db"

// lockWait is how long another process may hold the file, such as one that is just ending.
const lockWait = 2 * time.Second

// ErrClosed is returned by what needs the file after Close.
var ErrClosed = errors.New("store is closed")

// The buckets of the file.
const (
	retained = "retained" // topic → value
	sessions = "sessions" // client id → value
	messages = "messages" // length of the client id, client id, sequence number → value
)

// Store is a node's disk. Its methods may be called concurrently. Values given to it must not change afterwards.
type Store struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex // guards what follows; never held over I/O
	dirty  map[key][]byte
	timer  *time.Timer // runs while there is something to write
	closed bool
	flush  sync.WaitGroup // the timer's goroutine

	io sync.Mutex // one flush or load at a time; taken before mu
	db *bolt.DB   // nil until there is something to read or write; guarded by io
}

type key struct{ bucket, id string }

// Open opens the store in dir, which must exist. A nil logger discards.
func Open(dir string, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{path: filepath.Join(dir, File), log: log, dirty: map[key][]byte{}}
	switch _, err := os.Stat(s.path); {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("open store: %w", err)
	default:
		if err := s.open(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// open opens or makes the file; io is held, or nobody else knows s yet.
func (s *Store) open() error {
	if s.db != nil {
		return nil
	}
	db, err := bolt.Open(s.path, 0o600, &bolt.Options{
		Timeout:        lockWait,
		NoSync:         true, // Close and Flush sync
		NoGrowSync:     true,
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
	})
	if err != nil {
		return fmt.Errorf("open store %q: %w", s.path, err)
	}
	s.db = db
	return nil
}

// PutRetained keeps the retained message, or the mark of its removal, of a topic.
func (s *Store) PutRetained(topic string, value []byte) { s.put(key{retained, topic}, value) }

// DeleteRetained forgets a topic.
func (s *Store) DeleteRetained(topic string) { s.put(key{retained, topic}, nil) }

// PutSession keeps a session's state without its messages.
func (s *Store) PutSession(client string, value []byte) { s.put(key{sessions, client}, value) }

// DeleteSession forgets a session's state. Its messages are deleted one by one.
func (s *Store) DeleteSession(client string) { s.put(key{sessions, client}, nil) }

// PutMessage keeps a message of a session, or what is still to be known of one; they are ordered by seq.
func (s *Store) PutMessage(client string, seq uint64, value []byte) {
	s.put(messageKey(client, seq), value)
}

// DeleteMessage forgets a message of a session.
func (s *Store) DeleteMessage(client string, seq uint64) { s.put(messageKey(client, seq), nil) }

func messageKey(client string, seq uint64) key {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(client)+8), uint16(len(client)))
	b = append(b, client...)
	return key{messages, string(binary.BigEndian.AppendUint64(b, seq))}
}

// put notes a change; a nil value deletes.
func (s *Store) put(k key, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if value != nil && len(value) == 0 {
		value = []byte{}
	}
	s.dirty[k] = value
	if s.timer == nil {
		s.flush.Add(1)
		s.timer = time.AfterFunc(FlushInterval, s.flushInBackground)
	}
}

func (s *Store) flushInBackground() {
	defer s.flush.Done()
	s.io.Lock()
	defer s.io.Unlock()
	if err := s.write(); err != nil {
		s.log.Error("store is not written", "error", err)
	}
}

// Flush writes what is pending, and syncs the file.
func (s *Store) Flush() error {
	s.io.Lock()
	defer s.io.Unlock()
	if err := s.write(); err != nil {
		return err
	}
	if s.db == nil {
		return nil
	}
	if err := s.db.Sync(); err != nil {
		return fmt.Errorf("sync store %q: %w", s.path, err)
	}
	return nil
}

// write writes what is pending; io is held. After an error the changes are pending again, for the next attempt.
func (s *Store) write() error {
	s.mu.Lock()
	batch := s.dirty
	s.dirty = map[key][]byte{}
	if s.timer != nil && s.timer.Stop() {
		s.flush.Done()
	}
	s.timer = nil
	s.mu.Unlock()
	if len(batch) == 0 || s.db == nil && onlyDeletes(batch) {
		return nil
	}
	err := s.open()
	if err == nil {
		err = s.db.Update(func(tx *bolt.Tx) error { return apply(tx, batch) })
	}
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range batch {
		if _, newer := s.dirty[k]; !newer {
			s.dirty[k] = v
		}
	}
	return fmt.Errorf("write store %q: %w", s.path, err)
}

func onlyDeletes(batch map[key][]byte) bool {
	for _, v := range batch {
		if v != nil {
			return false
		}
	}
	return true
}

func apply(tx *bolt.Tx, batch map[key][]byte) error {
	for k, v := range batch {
		b, err := tx.CreateBucketIfNotExists([]byte(k.bucket))
		if err != nil {
			return err
		}
		if v == nil {
			err = b.Delete([]byte(k.id))
		} else {
			err = b.Put([]byte(k.id), v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Retained calls each for every topic kept. The value is only valid during the call.
func (s *Store) Retained(each func(topic string, value []byte) error) error {
	return s.each(retained, func(k, v []byte) error { return each(string(k), v) })
}

// Sessions calls each for every session kept. The value is only valid during the call.
func (s *Store) Sessions(each func(client string, value []byte) error) error {
	return s.each(sessions, func(k, v []byte) error { return each(string(k), v) })
}

// Messages calls each for every message of every session, those of one session together and in order.
// The value is only valid during the call.
func (s *Store) Messages(each func(client string, seq uint64, value []byte) error) error {
	return s.each(messages, func(k, v []byte) error {
		if len(k) < 10 || len(k) != 10+int(binary.BigEndian.Uint16(k)) {
			return fmt.Errorf("read store %q: message key of %d bytes", s.path, len(k))
		}
		return each(string(k[2:len(k)-8]), binary.BigEndian.Uint64(k[len(k)-8:]), v)
	})
}

// each walks a bucket, pending changes included.
func (s *Store) each(bucket string, fn func(k, v []byte) error) error {
	s.io.Lock()
	defer s.io.Unlock()
	if err := s.write(); err != nil {
		return err
	}
	if s.db == nil {
		return nil
	}
	return s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		if b == nil {
			return nil
		}
		return b.ForEach(fn)
	})
}

// Reset drops everything, also from disk.
func (s *Store) Reset() error {
	s.io.Lock()
	defer s.io.Unlock()
	s.mu.Lock()
	clear(s.dirty)
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			return fmt.Errorf("close store %q: %w", s.path, err)
		}
		s.db = nil
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reset store: %w", err)
	}
	return nil
}

// Close writes what is pending and closes the file. It may be called twice.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.Flush()
	s.flush.Wait()
	s.io.Lock()
	defer s.io.Unlock()
	if s.db == nil {
		return err
	}
	err = errors.Join(err, s.db.Close())
	s.db = nil
	return err
}
