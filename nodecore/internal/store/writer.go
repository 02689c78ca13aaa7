package store

import (
	"errors"
	"fmt"
	"time"
)

// wakeLocked starts the writer, or lets it know of the first change.
func wakeLocked(s *Store) {
	if !s.running {
		s.running = true
		s.writer.Go(s.run)
	}
	if len(s.next.changes) == 1 {
		signal(s.wake)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Number is that of the last change; Wait takes it.
func (s *Store) Number() uint64 { return s.number.Load() }

// Wait returns when all changes up to a number are stored, as the mode has it, or the attempt to store them has failed: it will
// be repeated, but what depends on them can't be promised now. The caller is not inside Together.
func (s *Store) Wait(number uint64) error {
	s.mu.Lock()
	b := pendingLocked(s, number)
	if b == nil || s.mode != Always && s.failing == nil {
		s.mu.Unlock()
		return nil
	}
	if b == s.next && s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	if b == s.next {
		signal(s.urgent)
	}
	s.mu.Unlock()
	<-b.done
	return b.err
}

// pendingLocked returns the batch to wait for; nil if there is none.
func pendingLocked(s *Store, number uint64) *batch {
	switch {
	case number <= s.stored:
		return nil
	case s.writing != nil && (number <= s.writing.last || len(s.next.changes) == 0):
		return s.writing
	case len(s.next.changes) == 0: // what was changed came to nothing
		return nil
	}
	return s.next
}

// Together runs f, whose changes are written in the same batch. f must not wait for anything.
func (s *Store) Together(f func()) {
	s.together.RLock()
	defer s.together.RUnlock()
	f()
}

// Trouble is how many attempts to write have failed so far, and why changes can't be written at the moment, nil if they can.
func (s *Store) Trouble() (failures uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.errs, s.failing
}

// run writes batches until Close.
func (s *Store) run() {
	var synced time.Time
	for {
		select {
		case <-s.wake:
		case <-s.quit:
			return
		}
		pause(s, FlushInterval, s.urgent)
		due := s.mode == Always || s.mode == Interval && time.Since(synced) >= syncInterval
		if due {
			synced = time.Now()
		}
		if s.flush(due) != nil {
			pause(s, retryAfter, nil)
			signal(s.wake)
		}
	}
}

// pause waits for a time, Close, or what is sent on cut.
func pause(s *Store, d time.Duration, cut <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-cut:
	case <-s.quit:
	}
}

// flush writes one batch.
func (s *Store) flush(sync bool) error {
	s.io.Lock()
	defer s.io.Unlock()
	b := take(s)
	err := s.files.append(b.changes, sync)
	if err != nil {
		err = fmt.Errorf("write store %q: %w", s.files.path, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = nil
	b.err = err
	close(b.done)
	if err != nil {
		if s.errs++; s.failing == nil {
			s.log.Error("store can't be written, and is tried again", "error", err)
		}
		s.failing = err
		mergeLocked(s, b)
		return err
	}
	if s.failing != nil {
		s.log.Info("store is written again")
	}
	s.stored, s.failing = b.last, nil
	return nil
}

// take makes what has changed so far the batch that is being written.
func take(s *Store) *batch {
	s.together.Lock()
	defer s.together.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing, s.next = s.next, newBatch()
	s.next.last = s.writing.last
	return s.writing
}

// mergeLocked makes the changes of a batch that was not written pending again. Newer ones of the same keys stay.
func mergeLocked(s *Store, b *batch) {
	for k, c := range b.changes {
		if _, newer := s.next.changes[k]; !newer {
			s.next.changes[k] = c
		}
	}
}

// Flush writes and syncs what is pending.
func (s *Store) Flush() error { return s.flush(true) }

// Reset drops everything, also from disk.
func (s *Store) Reset() error {
	s.io.Lock()
	defer s.io.Unlock()
	b := take(s)
	s.mu.Lock()
	closed := s.closed
	s.writing, s.stored, s.failing = nil, b.last, nil
	close(b.done)
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if err := s.files.remove(); err != nil {
		return fmt.Errorf("reset store: %w", err)
	}
	return nil
}

// Close writes what is pending and closes the files. It may be called twice.
func (s *Store) Close() error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return nil
	}
	close(s.quit)
	s.writer.Wait()
	err := s.Flush()
	s.io.Lock()
	defer s.io.Unlock()
	return errors.Join(err, s.files.close())
}
