package dnslist

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// How far a zone is believed
//
// A list that is gone, or that does not want us, does harm in one of two ways:
// it lists nobody, or it lists the world. A self-test tells both: RFC 5782
// section 5 wants an entry that every list has (127.0.0.2, or the name TEST) and
// one that no list has (127.0.0.1, INVALID). A test ends in one of three ways.
//
//   - Passed: the one is listed, the other is not.
//   - Failed: the zone answered, and wrongly. It lists what no list lists; does
//     not list what all do (closed, or it hides itself from us: many say "no such
//     name" to everything when they block somebody); or says an error code or
//     something outside 127.0.0.0/8, as the owner of an expired domain does.
//   - Silent: no answer, or a server failure. That may be the zone's trouble or
//     ours, and nothing in it tells which.
//
// Hence the state of a zone:
//
//   - It begins untested. Untested zones are asked, and their listings count in
//     the score, but nobody is refused on their word.
//   - A test that is passed makes it trusted: it may refuse.
//   - A test that is failed suspends it: it is not asked any more until it
//     passes a test.
//   - A silent test makes a trusted zone untested again. A zone is also
//     suspended after three silent tests in a row, so that no mail waits for a
//     dead list; a suspended one stays so.
//   - An answer to mail that no list gives (an error code, 127.0.0.1, or one
//     outside 127.0.0.0/8) suspends it at once. But one outside 127.0.0.0/8 about
//     a domain name makes the next test come at once instead: whoever sends the
//     mail has chosen the name, and could choose one that is, below the zone, a
//     host of the list's own.
//
// Tests are repeated every Retest, an hour, and so a failed one costs the list
// for an hour. After a silent test the next one comes much sooner, after half a
// minute, for when our own DNS was dead all lists have to be back soon after it
// lives again; two or three questions each half minute are no load for anybody.
//
// IPv6 is told apart: ::FFFF:7F00:2 and ::FFFF:7F00:1 are the entries, and a zone
// that does not answer rightly to them is not asked about addresses of IPv6, but
// stays what it is for those of IPv4. Before it was tested it is asked.

const (
	maxSilent = 3   // silent tests in a row suspend a zone
	hurry     = 120 // a silent zone is tested that many times as often
)

// A state is what is known of a zone. Its zero value is untested and due.
type state struct {
	trusted   bool
	suspended bool
	reason    string    // of the last test that was not passed, or of a suspension
	ended     time.Time // when the last test ended; zero: never
	due       time.Time // when the next one begins
	silent    int       // silent tests in a row
	six       support
}

// support says whether a zone holds addresses of IPv6.
type support uint8

const (
	untold support = iota
	holds
	lacks
)

// A ZoneState is what is known of one zone.
type ZoneState struct {
	Name, Label string
	// Off: the zone is never asked, as configured.
	Off bool
	// Suspended: the zone is not asked, because of Reason.
	Suspended bool
	// Untested: the zone is asked, but nobody is refused on its word: it was not
	// tested yet, or its latest self-test got no answer, as Reason says.
	Untested bool
	Reason   string
	// Tested is when the latest self-test ended, zero before the first.
	Tested time.Time
	// IPv6 says that the zone is asked about addresses of IPv6.
	IPv6 bool
}

// States returns what is known of each zone, in their order.
func (s *Set) States() []ZoneState {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]ZoneState, len(s.zones))
	for i, z := range s.zones {
		st := s.states[i]
		list[i] = ZoneState{
			Name: z.Name, Label: z.Label, Off: z.Mode == modeOff,
			Suspended: st.suspended, Untested: !st.trusted && !st.suspended && z.Mode != modeOff,
			Reason: st.reason, Tested: st.ended,
			IPv6: z.Of&literals != 0 && st.six != lacks && z.Mode != modeOff,
		}
	}
	return list
}

func (s *Set) usable(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.states[i].suspended
}

func (s *Set) tested(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.states[i].trusted
}

// HoldsIPv6 says whether a zone is asked about addresses of IPv6: it answers
// its tests of them, or was not tested yet.
func (s *Set) HoldsIPv6(z *Zone) bool {
	i := s.index(z)
	s.mu.Lock()
	defer s.mu.Unlock()
	return i >= 0 && s.states[i].six != lacks
}

// inherit takes over what an earlier set knows of the same zones.
func (s *Set) inherit(old *Set) {
	old.mu.Lock()
	defer old.mu.Unlock()
	for i, z := range s.zones {
		for k, other := range old.zones {
			// The same entries must have been tested.
			if z.Name == other.Name && z.entry == other.entry && z.Of&literals != 0 == (other.Of&literals != 0) && z.Of&names != 0 == (other.Of&names != 0) {
				s.states[i] = old.states[k]
			}
		}
	}
}

// suspend takes a zone out of use until it passes a self-test.
func (s *Set) suspend(i int, reason string) {
	s.mu.Lock()
	st := &s.states[i]
	news := !st.suspended
	if news {
		st.suspended, st.trusted, st.reason = true, false, reason
	}
	s.mu.Unlock()
	if news {
		s.log.Warn("DNS list suspended", "zone", s.zones[i].Name, "reason", reason)
	}
}

// doubt makes the next test of a zone come at once, or when the latest one is
// half a minute old.
func (s *Set) doubt(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, at := &s.states[i], s.now()
	if earliest := st.ended.Add(s.retest / hurry); at.Before(earliest) {
		at = earliest
	}
	if !st.due.After(at) {
		return
	}
	st.due = at
	select {
	case s.hasten <- struct{}{}:
	default:
	}
}

// Run tests each zone at once, unless an earlier set has done so, and then
// every Retest, until ctx ends.
func (s *Set) Run(ctx context.Context) {
	for ctx.Err() == nil {
		now := s.now()
		next := now.Add(s.retest)
		var due []int
		s.mu.Lock()
		for i, z := range s.zones {
			switch st := s.states[i]; {
			case z.Mode == modeOff:
			case !st.due.After(now):
				due = append(due, i)
			case st.due.Before(next):
				next = st.due
			}
		}
		s.mu.Unlock()
		if len(due) > 0 {
			s.round(ctx, due)
			continue
		}
		timer := time.NewTimer(max(next.Sub(now), time.Millisecond))
		select {
		case <-timer.C:
		case <-s.hasten:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// Test tests all zones now and returns what is known of them then.
func (s *Set) Test(ctx context.Context) []ZoneState {
	var all []int
	for i, z := range s.zones {
		if z.Mode != modeOff {
			all = append(all, i)
		}
	}
	s.round(ctx, all)
	return s.States()
}

// round tests some zones side by side.
func (s *Set) round(ctx context.Context, zones []int) {
	var all sync.WaitGroup
	for _, i := range zones {
		all.Go(func() {
			r := s.examine(ctx, s.zones[i])
			if ctx.Err() == nil { // else it says nothing about the zone
				s.settle(i, r)
			}
		})
	}
	all.Wait()
}

// settle moves a zone to the state that follows from a test.
func (s *Set) settle(i int, r report) {
	s.mu.Lock()
	st := &s.states[i]
	before := *st
	st.ended = s.now()
	st.due = st.ended.Add(s.retest)
	if r.six != untold {
		st.six = r.six
	}
	switch r.end {
	case passed:
		st.trusted, st.suspended, st.silent, st.reason = true, false, 0, ""
	case failed:
		st.trusted, st.suspended, st.silent, st.reason = false, true, 0, r.reason
	case silent:
		st.due = st.ended.Add(s.retest / hurry)
		st.silent = min(st.silent+1, maxSilent)
		st.trusted = false
		if !st.suspended {
			st.reason = r.reason
			if st.silent == maxSilent {
				st.suspended = true
				st.reason = fmt.Sprintf("no answer to %d self-tests in a row: %s", maxSilent, r.reason)
			}
		}
	}
	after := *st
	s.mu.Unlock()
	switch z := s.zones[i]; {
	case after.suspended && !before.suspended:
		s.log.Warn("DNS list suspended", "zone", z.Name, "reason", after.reason)
	case !after.suspended && before.suspended:
		s.log.Info("DNS list in use again", "zone", z.Name)
	case before.trusted && !after.trusted:
		s.log.Warn("DNS list does not answer its self-test; it refuses nobody till it does", "zone", z.Name, "reason", after.reason)
	}
}
