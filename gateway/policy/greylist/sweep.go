package greylist

import (
	"context"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// sweepEvery is how often what has expired is removed and the rest counted.
const sweepEvery = 10 * time.Minute

// Run forgets what has expired, until ctx ends. When there are as many entries as
// there may be, it forgets first attempts that were not repeated, the oldest
// first, and then those who pass, those first whose time ends first, until a
// quarter is free; mail of unknown senders passes meanwhile. So whoever makes up
// senders gains nothing but that they pass for some seconds, and takes nothing
// from those who have shown that they come back, unless it comes back itself, for
// each of them; then some who passed have to wait once more.
func (s *Store) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		crowded := false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.full:
			crowded = true
		}
		if err := s.sweep(ctx, crowded); err != nil && ctx.Err() == nil {
			s.warn("greylist cannot be swept", err)
		}
		if crowded { // not again and again when there is nothing to forget
			select {
			case <-ctx.Done():
				return
			case <-time.After(10 * time.Second):
			}
		}
	}
}

// ages counts entries by how soon they go when there is no room, the last first:
// those who pass in steps of a 256th of Window, first attempts in steps of a 256th
// of Retry.
type ages [2 * steps]int

const steps = 256

func (s *Store) step(e entry, now time.Time) int {
	if e.until.IsZero() {
		return steps + part(now.Sub(e.first), s.cfg.Retry)
	}
	return steps - 1 - part(e.until.Sub(now), s.cfg.Window)
}

// part returns in which step of all a time is.
func part(d, all time.Duration) int { return max(0, min(steps-1, int(d/max(1, all/steps)))) }

// sweep removes what has expired; when crowded also others, until a quarter is free.
func (s *Store) sweep(ctx context.Context, crowded bool) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	now := s.cfg.Now()
	before := s.entries.Load()
	var count ages
	live := 0
	var old [][]byte // expired
	err := s.each(func(key []byte, e entry) {
		if s.expired(e, now) {
			if len(old) < maxBatch {
				old = append(old, append([]byte(nil), key...))
			}
			return
		}
		live++
		count[s.step(e, now)]++
	})
	if err != nil {
		return err
	}
	oldest, spared := len(count), 0 // of the step oldest so many stay
	if crowded {
		for live > s.cfg.MaxEntries/4*3 && oldest > 0 {
			oldest--
			spared = min(count[oldest], max(0, s.cfg.MaxEntries/4*3-(live-count[oldest])))
			live -= count[oldest] - spared
		}
	}
	gone := func(e entry) bool {
		return s.expired(e, now) || s.step(e, now) >= oldest
	}
	for {
		if oldest < len(count) {
			old = old[:0]
			stay := spared
			if err := s.each(func(key []byte, e entry) {
				switch {
				case len(old) == maxBatch || !gone(e):
				case stay > 0 && !s.expired(e, now) && s.step(e, now) == oldest:
					stay--
				default:
					old = append(old, append([]byte(nil), key...))
				}
			}); err != nil {
				return err
			}
		}
		for _, key := range old {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := s.remove(key, gone); err != nil {
				return err
			}
		}
		if oldest == len(count) || len(old) < maxBatch {
			break
		}
	}
	// What came meanwhile is counted too.
	s.entries.Add(int64(live) - before)
	return nil
}

// maxBatch bounds the keys that a sweep holds in memory.
const maxBatch = 100_000

// remove forgets a key, if it is still to go.
func (s *Store) remove(key []byte, gone func(entry) bool) error {
	stripe := &s.stripes[key[0]%byte(len(s.stripes))]
	stripe.Lock()
	defer stripe.Unlock()
	e, known, err := s.get(key)
	if err != nil || !known || !gone(e) {
		return err
	}
	if err := s.room(); err != nil {
		return err
	}
	return s.db.Update(func(txn *badger.Txn) error { return txn.Delete(key) })
}
