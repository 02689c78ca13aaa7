// Package store is what a node keeps on disk about MQTT: retained messages, persistent sessions and
// the messages waiting in them, as opaque values.
//
// It is a write-behind store: a Put or Delete returns at once, is coalesced with what follows, and
// reaches the file within FlushInterval, or by Flush or Close. A process that is killed loses at most
// that; a machine that loses power may lose more, as batches are not synced one by one. The file is
// made by the first write, so that an idle node costs no I/O at its start.
//
// Start at Open.
package store

import (
	"errors"
	"log/slog"
	"time"
)

// FlushInterval is the longest that a change stays in memory only.
const FlushInterval = 50 * time.Millisecond

// Store is a node's disk.
type Store struct{}

// Open opens the store in dir, which must exist. A nil logger discards.
func Open(dir string, log *slog.Logger) (*Store, error) { return nil, errors.New("not built yet") }

// Reset drops everything, also from disk.
func (s *Store) Reset() error { return nil }

// Close writes what is pending and closes the file. It may be called twice.
func (s *Store) Close() error { return nil }
