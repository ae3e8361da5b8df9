package update

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Rollback puts the bundle before the current one into force, or what the program
// has inside where there is none (version 0). The channel does not bring back what
// was rolled back: only a newer version is adopted.
func Rollback(dir string, keys Keys, now time.Time) (version int64, err error) {
	unlock, err := lock(dir)
	if err != nil {
		return 0, fmt.Errorf("rolling back: %w", err)
	}
	defer unlock()
	c, _ := readCurrent(dir, keys)
	if c.Version == 0 {
		return 0, errors.New("no rules of the channel are in force")
	}
	s, _ := readState(dir)
	next := current{Floor: max(c.Floor, s.Floor), Since: now}
	for i, v := range c.Previous {
		if _, err := verifyStored(dir, v, keys); err == nil {
			next.Version, next.Previous = v, c.Previous[i+1:]
			break
		}
	}
	if err := writeJSON(filepath.Join(dir, currentFile), next); err != nil {
		return 0, fmt.Errorf("rolling back: %w", err)
	}
	if err := prune(dir, next); err != nil {
		return next.Version, fmt.Errorf("rolled back, but not cleaned up: %w", err)
	}
	return next.Version, nil
}

// A Status says what is in force, and how it stands with the channel.
type Status struct {
	Bundle   *Bundle // nil: what the program has inside
	Problems []error // why a newer one is not in force
	Previous []int64
	Floor    int64     // the highest version ever adopted
	Checked  time.Time // the last question; zero: none yet
	Heard    time.Time // the last good answer
	Error    string    // what went wrong at the last question
	Refused  map[int64]Refusal
}

// ReadStatus looks at dir, changing nothing.
func ReadStatus(dir string, keys Keys) Status {
	var st Status
	st.Bundle, st.Problems = Open(dir, keys)
	c, _ := readCurrent(dir, keys)
	s, err := readState(dir)
	if err != nil {
		st.Problems = append(st.Problems, err)
	}
	st.Previous, st.Floor = c.Previous, max(c.Floor, s.Floor)
	st.Checked, st.Heard, st.Error, st.Refused = s.Checked, s.Heard, s.Error, s.Refused
	return st
}

// Silent says whether nothing good was heard of the channel for too long, or the
// bundle in force is past its time: a channel that only repeats itself is silent.
func (s Status) Silent(now time.Time) bool {
	if s.Checked.IsZero() {
		return false
	}
	return now.Sub(s.Heard) >= Silence || s.Bundle != nil && !now.Before(s.Bundle.Expires)
}
