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
// first, until a quarter is free; mail of unknown senders passes meanwhile. So
// whoever makes up senders gains nothing but that they pass for some seconds, and
// takes nothing from those who have shown that they come back.
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

// ages counts first attempts by age, in steps of a 256th of Retry.
type ages [256]int

func (s *Store) step(e entry, now time.Time) int {
	return max(0, min(255, int(now.Sub(e.first)*256/max(1, s.cfg.Retry))))
}

// sweep removes what has expired; when crowded also old first attempts.
func (s *Store) sweep(ctx context.Context, crowded bool) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	now := s.cfg.Now()
	before := s.entries.Load()
	var waiting ages
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
		if e.until.IsZero() {
			waiting[s.step(e, now)]++
		}
	})
	if err != nil {
		return err
	}
	oldest, spared := 256, 0 // of the step oldest so many stay
	if crowded {
		for live > s.cfg.MaxEntries/4*3 && oldest > 0 {
			oldest--
			spared = min(waiting[oldest], max(0, s.cfg.MaxEntries/4*3-(live-waiting[oldest])))
			live -= waiting[oldest] - spared
		}
	}
	gone := func(e entry) bool {
		return s.expired(e, now) || e.until.IsZero() && s.step(e, now) >= oldest
	}
	for {
		if oldest < 256 {
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
		if oldest == 256 || len(old) < maxBatch {
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
