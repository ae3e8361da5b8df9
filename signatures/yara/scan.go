//go:build cgo

package yara

// #include <stdint.h>
// #include <malloc.h>
// #include <string.h>
// #include <yara.h>
//
// static void set_timeout(void* scanner, uint64_t ns) { ((YR_SCAN_CONTEXT*) scanner)->timeout = ns; }
//
// // failed_string is the index of the string whose verification failed, or -1.
// static int64_t failed_string(void* scanner) {
//   YR_STRING* s = ((YR_SCAN_CONTEXT*) scanner)->last_error_string;
//   return s == NULL ? -1 : (int64_t) s->idx;
// }
//
// static YR_RULE* rule_of_failed(void* scanner) {
//   YR_SCAN_CONTEXT* c = (YR_SCAN_CONTEXT*) scanner;
//   return &c->rules->rules_table[c->last_error_string->rule_idx];
// }
// static const char* failed_rule(void* scanner) { return rule_of_failed(scanner)->identifier; }
// static const char* failed_namespace(void* scanner) { return rule_of_failed(scanner)->ns->name; }
//
// // leave_out makes the next scan pass over a string, as libyara does by itself
// // when one matches too often. The scan forgets it at its end.
// static void leave_out(void* scanner, int64_t string) {
//   yr_bitmask_set(((YR_SCAN_CONTEXT*) scanner)->strings_temp_disabled, string);
// }
// // leave_out_all makes the scan under way pass over all strings from now on. It is
// // called beside the scan: a bit that it loses costs time, nothing else.
// static void leave_out_all(void* scanner) {
//   YR_SCAN_CONTEXT* c = (YR_SCAN_CONTEXT*) scanner;
//   memset(c->strings_temp_disabled, 0xff, sizeof(YR_BITMASK) * YR_BITMASK_SIZE(c->rules->num_strings));
// }
// // give_back returns memory that was freed to the system, where the C library can.
// static void give_back(void) {
// #ifdef __GLIBC__
//   malloc_trim(0);
// #endif
// }
import "C"

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/hillu/go-yara/v4"
)

const (
	// defaultLimit is the time of a scan for which no limit is given.
	defaultLimit = time.Second
	// grace is how long after its limit a scan that has not ended is hurried.
	grace = 5 * time.Millisecond
	// maxMatches bounds what one scan reports.
	maxMatches = 100
	// maxLeftOut bounds how many strings a scan passes over because data drives them
	// beyond the library's bounds.
	maxLeftOut = 16
	// maxExternal bounds the value of an external variable, in bytes: of a longer
	// one the end is kept. shortExternal is the bound where data drives a regular
	// expression over one beyond the library's bounds, which has 1,024 places that it
	// may be in at a time.
	maxExternal, shortExternal = 512, 48
	// noTryCatch keeps libyara from putting its own handlers in the place of the
	// Go runtime's for SIGBUS and SIGSEGV while it scans: SCAN_FLAGS_NO_TRYCATCH,
	// which go-yara does not name.
	noTryCatch = yara.ScanFlags(C.SCAN_FLAGS_NO_TRYCATCH)
)

// Rules are compiled. They are safe for any number of goroutines; at most one per
// processor is in libyara at a time, the others wait.
type Rules struct {
	groups []*group
	count  int

	slots     chan struct{} // one token for each scan under way
	closed    chan struct{}
	closeOnce sync.Once
}

// A group is the rules that need the same of data.
type group struct {
	need      need
	rules     *yara.Rules
	files     []string   // by namespace
	externals []external // that some rule may use

	mu   sync.Mutex
	idle []*scanner
}

// A scanner belongs to one scan at a time.
type scanner struct {
	*yara.Scanner
	context unsafe.Pointer // its YR_SCAN_CONTEXT
	files   []string
	values  []string // of the externals
	matches []Match
}

// Len is the number of rules.
func (r *Rules) Len() int { return r.count }

// Close frees the memory that libyara holds, when the scans under way are done.
// Scans that begin later return ErrClosed.
func (r *Rules) Close() {
	r.closeOnce.Do(func() {
		close(r.closed)
		for range cap(r.slots) {
			r.slots <- struct{}{}
		}
		for _, g := range r.groups {
			for _, s := range g.idle {
				s.Destroy()
			}
			g.idle = nil
			g.rules.Destroy()
		}
		giveBack()
	})
}

func giveBack() { C.give_back() }

// Scan returns the rules that match data, at most 100. It waits for a free
// processor as long as ctx allows, and then takes the limit, or until the deadline
// of ctx if that comes first; 0 means a second. A scan that is cut off returns
// ErrTime beside the matches found until then: those of the groups of rules that
// were through, since libyara decides about rules when it has gone through data.
//
// libyara looks at its clock every 4,096 bytes and every 100 steps of a condition. A
// bad regular expression can take seconds for 4,096 bytes: soon after the limit its
// verification is switched off. What is not interrupted is the verification of one
// place, and one call of a module's function (a hash or an entropy of all the data).
func (r *Rules) Scan(ctx context.Context, data []byte, f Facts, limit time.Duration) ([]Match, error) {
	select {
	case r.slots <- struct{}{}:
	default:
		select {
		case r.slots <- struct{}{}:
		case <-r.closed:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	defer func() { <-r.slots }()
	select {
	case <-r.closed:
		return nil, ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = defaultLimit
	}
	if end, ok := ctx.Deadline(); ok {
		limit = max(min(limit, time.Until(end)), 1)
	}
	end := time.Now().Add(limit)
	var matches []Match
	var faults []error
	for _, g := range r.groups {
		if !g.need.met(data, f.Kind) {
			continue
		}
		found, err := g.scan(data, &f, time.Until(end))
		matches = merge(matches, found)
		if err != nil {
			faults = append(faults, err)
		}
		if errors.Is(err, ErrTime) {
			break
		}
	}
	return matches, errors.Join(faults...)
}

// merge adds the matches that are not known yet: a rule that others refer to is in
// their groups too.
func merge(matches, found []Match) []Match {
	before := len(matches)
	for _, m := range found {
		if len(matches) < maxMatches && !contains(matches[:before], m) {
			matches = append(matches, m)
		}
	}
	return matches
}

// contains says whether a list has the rule of m.
func contains(list []Match, m Match) bool {
	return slices.ContainsFunc(list, func(o Match) bool { return o.File == m.File && o.Rule == m.Rule })
}

// scan returns the rules of the group that match.
func (g *group) scan(data []byte, f *Facts, limit time.Duration) ([]Match, error) {
	s, err := g.take()
	if err != nil {
		return nil, err
	}
	end := time.Now().Add(limit)
	var matches []Match
	var keep bool
	for _, most := range []int{maxExternal, shortExternal} {
		if err := s.set(g.externals, f, most); err != nil {
			s.Destroy()
			return nil, err
		}
		if matches, keep, err = s.scan(data, time.Until(end)); !errors.Is(err, errExternal) {
			break
		}
	}
	if keep {
		g.give(s)
	} else {
		s.Destroy()
	}
	return matches, err
}

// scan scans until the limit is used up. A regular expression that data drives
// beyond the library's bounds ends the scan before any rule is decided; since
// whoever wrote data may want just that, the scan is repeated without its rule,
// which the error names.
func (s *scanner) scan(data []byte, limit time.Duration) (matches []Match, keep bool, err error) {
	end := time.Now().Add(limit)
	var left []C.int64_t
	var without []Match // the rules of the strings left out, which may match for want of them
	var why error
	for {
		C.set_timeout(s.context, C.uint64_t(max(time.Until(end), 1)))
		for _, i := range left {
			C.leave_out(s.context, i)
		}
		s.matches = nil
		late := make(chan struct{})
		watchdog := time.AfterFunc(time.Until(end)+grace, func() {
			C.leave_out_all(s.context)
			close(late)
		})
		err := s.ScanMem(data)
		matches, s.matches = s.matches, nil
		if !watchdog.Stop() {
			// What it did may have come after the end of the scan, and would blind the
			// next one. A rule that excludes a string may match for want of it.
			<-late
			return nil, false, errors.Join(ErrTime, why)
		}
		var code yara.Error
		if err != nil && !errors.As(err, &code) {
			return matches, false, fmt.Errorf("scanning: %w", err)
		}
		switch code {
		case C.ERROR_SUCCESS:
			return slices.DeleteFunc(matches, func(m Match) bool { return contains(without, m) }), true, why
		case C.ERROR_SCAN_TIMEOUT:
			return matches, true, errors.Join(ErrTime, why)
		case C.ERROR_TOO_MANY_RE_FIBERS:
			i := C.failed_string(s.context)
			if i < 0 { // it was not a string of a rule, but a condition on an external
				return matches, false, fmt.Errorf("scanning: %w: %w", errExternal, err)
			}
			if len(left) < maxLeftOut {
				left = append(left, i)
				space, _ := strconv.Atoi(C.GoString(C.failed_namespace(s.context)))
				bad := Match{Rule: C.GoString(C.failed_rule(s.context)), File: s.files[space]}
				without = append(without, bad)
				why = fmt.Errorf("scanning: %w: left out rule %s of %s", err, bad.Rule, bad.File)
				continue
			}
		}
		return matches, false, fmt.Errorf("scanning: %w", err)
	}
}

// take returns an idle scanner or a new one. There are never more than slots.
func (g *group) take() (*scanner, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.idle); n > 0 {
		s := g.idle[n-1]
		g.idle = g.idle[:n-1]
		return s, nil
	}
	return newScanner(g)
}

func (g *group) give(s *scanner) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.idle = append(g.idle, s)
}

func newScanner(g *group) (*scanner, error) {
	inner, err := yara.NewScanner(g.rules)
	if err != nil {
		return nil, fmt.Errorf("making a scanner: %w", err)
	}
	// The library's SetTimeout cuts to whole seconds, and libyara keeps
	// nanoseconds: the field is set where it is.
	pointer := reflect.ValueOf(inner).Elem().FieldByName("cptr")
	if !pointer.IsValid() || pointer.Kind() != reflect.Pointer {
		inner.Destroy()
		return nil, errors.New("making a scanner: go-yara keeps its context elsewhere")
	}
	s := &scanner{Scanner: inner, context: pointer.UnsafePointer(), files: g.files, values: make([]string, len(g.externals))}
	inner.SetFlags(yara.ScanFlagsFastMode | noTryCatch)
	inner.SetCallback(s)
	return s, nil
}

// errExternal says that a regular expression over an external variable went beyond
// the library's bounds.
var errExternal = errors.New("a condition on an external variable")

// set gives the externals their values, of most bytes, those that differ from the
// last scan's.
func (s *scanner) set(list []external, f *Facts, most int) error {
	for i, e := range list {
		value := e.value(f)
		if len(value) > most {
			value = value[len(value)-most:]
		}
		if value == s.values[i] {
			continue
		}
		// A C string ends at a NUL: what follows must be seen too.
		if err := s.DefineVariable(e.name, strings.ReplaceAll(value, "\x00", "")); err != nil {
			return fmt.Errorf("setting %s: %w", e.name, err)
		}
		s.values[i] = strings.Clone(value)
	}
	return nil
}

// RuleMatching is called by libyara for each rule that matches.
func (s *scanner) RuleMatching(_ *yara.ScanContext, rule *yara.Rule) (abort bool, err error) {
	if len(s.matches) == maxMatches {
		return true, nil
	}
	m := Match{Rule: rule.Identifier(), Tags: rule.Tags(), Meta: map[string]any{}}
	if i, err := strconv.Atoi(rule.Namespace()); err == nil && i >= 0 && i < len(s.files) {
		m.File = s.files[i]
	}
	for _, meta := range rule.Metas() {
		m.Meta[meta.Identifier] = meta.Value
	}
	s.matches = append(s.matches, m)
	return false, nil
}
