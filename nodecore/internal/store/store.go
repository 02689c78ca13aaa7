// Package store is what a node keeps on disk about MQTT: retained messages, persistent sessions and
// the messages waiting in them or under way, as opaque values.
//
// It is an append-only log. A Put or Delete returns at once; Wait returns when all changes up to a number are on disk.
// Changes are written in batches: while somebody waits, a batch as soon as the one before is written (group commit), else
// after FlushInterval. A batch is there after a crash as a whole or not at all. A log that has grown is compacted in the
// background.
//
// It is not a database: all is read once, at the start (Retained, Sessions, Messages), and lives in the broker's memory
// from then on. The file is made by the first write, so that an idle node costs no I/O at its start.
//
// Start at Open. log.go is the file format, files.go the files, compact.go the compaction.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// FlushInterval is the longest that a change for which nobody waits stays in memory only.
const FlushInterval = 50 * time.Millisecond

const (
	syncInterval = time.Second            // between the syncs of mode Interval
	retryAfter   = 200 * time.Millisecond // before a batch that could not be written is tried again
)

// File is the name of the store's file in its directory. What is written during and after a compaction goes to files with a
// number added to it.
const File = "mqtt.db"

// ErrClosed is returned by what needs the files after Close.
var ErrClosed = errors.New("store is closed")

// Mode says when Wait takes a change for stored.
type Mode string

// The modes, by their names in the configuration.
const (
	Always   Mode = "always"   // when the file is synced: it survives a loss of power
	Interval Mode = "interval" // at once; the file is written within FlushInterval, and synced every second
	Never    Mode = "never"    // at once; the file is written within FlushInterval, and never synced
)

// Valid says whether there is such a mode.
func (m Mode) Valid() bool { return m == Always || m == Interval || m == Never }

// Options are how a store is kept.
type Options struct {
	Sync   Mode         // default Always
	Logger *slog.Logger // nil: discard
}

// bucket is a kind of values.
type bucket byte

const (
	retained bucket = iota + 1 // topic → value
	sessions                   // client id → value
	messages                   // length of the client id, client id, sequence number → value
	links                      // node name → value
)

type key struct {
	bucket bucket
	id     string
}

// change is a new value; nil deletes.
type change struct {
	value   []byte
	created bool // the key is not on disk: deleting it before the batch is written leaves nothing to write
}

// batch is what is written at once.
type batch struct {
	changes map[key]change
	last    uint64        // number of its last change
	done    chan struct{} // closed when it has been written, or an attempt has failed
	err     error         // of that attempt
}

func newBatch() *batch { return &batch{changes: map[key]change{}, done: make(chan struct{})} }

// Store is a node's disk. Its methods may be called concurrently. Values given to it must not change afterwards.
type Store struct {
	mode Mode
	log  *slog.Logger

	number atomic.Uint64 // of the last change; written with mu held

	together sync.RWMutex // read-locked by Together; write-locked while a batch is taken; comes before mu

	mu      sync.Mutex // guards what follows; never held over I/O
	next    *batch     // changes that are not being written yet
	writing *batch     // nil if none is being written
	stored  uint64     // of the last change that is written
	failing error      // of the last attempt to write
	errs    uint64     // attempts that failed
	closed  bool
	running bool // the writer's goroutine

	wake   chan struct{} // there is something to write; capacity 1
	urgent chan struct{} // somebody waits for it; capacity 1
	quit   chan struct{} // closed by Close
	writer sync.WaitGroup

	io    sync.Mutex // guards what follows; comes before together
	files files
}

// Open opens the store in dir, which must exist. Files that are damaged are set aside with a warning, and what can be read of
// them is kept.
func Open(dir string, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Sync == "" {
		o.Sync = Always
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		mode: o.Sync, log: o.Logger, next: newBatch(), wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1), quit: make(chan struct{}),
		files: files{path: filepath.Join(dir, File), log: o.Logger, noSync: o.Sync == Never},
	}
	if err := s.files.load(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// PutRetained keeps the retained message, or the mark of its removal, of a topic.
func (s *Store) PutRetained(topic string, value []byte) { s.put(key{retained, topic}, value, false) }

// DeleteRetained forgets a topic.
func (s *Store) DeleteRetained(topic string) { s.delete(key{retained, topic}) }

// PutSession keeps a session's state without its messages.
func (s *Store) PutSession(client string, value []byte) { s.put(key{sessions, client}, value, false) }

// DeleteSession forgets a session's state. Its messages are deleted one by one.
func (s *Store) DeleteSession(client string) { s.delete(key{sessions, client}) }

// AddMessage keeps a message of a session, or what is still to be known of one; they are ordered by seq, which is new.
func (s *Store) AddMessage(client string, seq uint64, value []byte) {
	s.put(messageKey(client, seq), value, true)
}

// PutMessage replaces a message of a session.
func (s *Store) PutMessage(client string, seq uint64, value []byte) {
	s.put(messageKey(client, seq), value, false)
}

// DeleteMessage forgets a message of a session.
func (s *Store) DeleteMessage(client string, seq uint64) { s.delete(messageKey(client, seq)) }

// PutLink keeps how far the frames of another node have been handled.
func (s *Store) PutLink(node string, value []byte) { s.put(key{links, node}, value, false) }

func messageKey(client string, seq uint64) key {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(client)+8), uint16(len(client)))
	b = append(b, client...)
	return key{messages, string(binary.BigEndian.AppendUint64(b, seq))}
}

func (s *Store) put(k key, value []byte, created bool) {
	if value == nil {
		value = []byte{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.next.last = s.number.Add(1)
	s.next.changes[k] = change{value: value, created: created || s.next.changes[k].created}
	wakeLocked(s)
}

func (s *Store) delete(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.next.last = s.number.Add(1)
	if s.next.changes[k].created {
		delete(s.next.changes, k)
		return
	}
	s.next.changes[k] = change{}
	wakeLocked(s)
}

// Settled says whether there is nothing that Wait would wait for.
func (s *Store) Settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing == nil && (s.mode != Always || pendingLocked(s, s.number.Load()) == nil)
}

// Retained calls each for every topic kept. The value must not be changed.
func (s *Store) Retained(each func(topic string, value []byte) error) error {
	return eachOf(s, retained, each)
}

// Sessions calls each for every session kept. The value must not be changed.
func (s *Store) Sessions(each func(client string, value []byte) error) error {
	return eachOf(s, sessions, each)
}

// Links calls each for every node whose frames have been handled. The value must not be changed.
func (s *Store) Links(each func(node string, value []byte) error) error {
	return eachOf(s, links, each)
}

// Messages calls each for every message of every session, those of one session together and in order.
// The value must not be changed.
func (s *Store) Messages(each func(client string, seq uint64, value []byte) error) error {
	return eachOf(s, messages, func(k string, v []byte) error {
		if len(k) < 10 || len(k) != 10+int(binary.BigEndian.Uint16([]byte(k[:2]))) {
			return fmt.Errorf("message key of %d bytes", len(k))
		}
		return each(k[2:len(k)-8], binary.BigEndian.Uint64([]byte(k[len(k)-8:])), v)
	})
}

// eachOf walks a bucket, pending changes included.
func eachOf(s *Store, b bucket, fn func(k string, v []byte) error) error {
	s.mu.Lock()
	pending := len(s.next.changes) > 0
	s.mu.Unlock()
	if pending {
		if err := s.Flush(); err != nil {
			return err
		}
	}
	s.io.Lock()
	defer s.io.Unlock()
	return s.files.each(b, fn)
}

// Loaded says that all has been read that was to be.
func (s *Store) Loaded() {
	s.io.Lock()
	defer s.io.Unlock()
	s.files.content = nil
}
