package dnslist

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
)

// The entries of self-tests, as the first labels of a query. RFC 5782 section 5.
const (
	testEntry4  = "2.0.0.127"
	neverEntry4 = "1.0.0.127"
	// ::FFFF:7F00:2 and ::FFFF:7F00:1. RFC 5782 section 5.
	testEntry6  = "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"
	neverEntry6 = "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"
	testDomain  = "test"
	neverDomain = "invalid"
)

// A report is how a self-test ended.
type report struct {
	end    ending
	reason string
	six    support
}

type ending uint8

const (
	passed ending = iota
	failed
	silent
)

// examine tests one zone.
func (s *Set) examine(ctx context.Context, z *zone) report {
	var must, never []string // one of must is listed, and none of never
	if z.Of&names != 0 {
		must, never = append(must, testDomain), append(never, neverDomain)
	}
	// A list of names that has no entry TEST may have this one. Asking a list of
	// names alone for 127.0.0.1 proves nothing: some answer any address with an
	// error code.
	must = append(must, testEntry4)
	if z.Of&literals != 0 {
		never = append(never, neverEntry4)
	}
	if z.entry != "" {
		must = []string{z.entry}
	}
	probes := slices.Concat(must, never)
	if z.Of&literals != 0 {
		probes = append(probes, testEntry6, neverEntry6)
	}
	listed := make([]bool, len(probes))
	errs := make([]error, len(probes))
	var all sync.WaitGroup
	for i, entry := range probes {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, s.timeout)
			defer cancel()
			codes, err := ask(ctx, s.fresh, entry+"."+z.Name)
			listed[i], errs[i] = len(codes) > 0, err
		})
	}
	all.Wait()

	r := judge(must, never, listed, errs)
	if z.Of&literals != 0 {
		r.six = judgeSix(listed[len(probes)-2:], errs[len(probes)-2:])
	}
	return r
}

// judge says how a test ended from what its probes found, those of must before
// those of never.
func judge(must, never []string, listed []bool, errs []error) report {
	var trouble error
	for i, entry := range never {
		at := len(must) + i
		bad := (*badAnswer)(nil)
		switch {
		case listed[at]:
			return report{end: failed, reason: "lists " + said(entry) + ", which no list does"}
		case errors.As(errs[at], &bad):
			return report{end: failed, reason: "about " + said(entry) + " " + bad.Error()}
		case errs[at] != nil:
			trouble = errs[at]
		}
	}
	found := false
	var wrongly *badAnswer
	about := ""
	for i, entry := range must {
		bad := (*badAnswer)(nil)
		switch {
		case listed[i]:
			found = true
		case errors.As(errs[i], &bad):
			if wrongly == nil {
				wrongly, about = bad, entry
			}
		case errs[i] != nil:
			trouble = errs[i]
		}
	}
	switch {
	case found && trouble != nil && slices.ContainsFunc(errs[len(must):], func(err error) bool { return err != nil }):
		return report{end: silent, reason: trouble.Error()}
	case found:
		return report{end: passed}
	case wrongly != nil:
		return report{end: failed, reason: "about " + said(about) + " " + wrongly.Error()}
	case trouble != nil:
		return report{end: silent, reason: trouble.Error()}
	}
	all := make([]string, len(must))
	for i, entry := range must {
		all[i] = said(entry)
	}
	return report{end: failed, reason: "does not list " + strings.Join(all, " or ") + ": it is closed, or does not answer us"}
}

// judgeSix says whether a zone holds addresses of IPv6, from the two entries
// that tell it.
func judgeSix(listed []bool, errs []error) support {
	bad := (*badAnswer)(nil)
	switch {
	case listed[1], errors.As(errs[1], &bad), errors.As(errs[0], &bad):
		return lacks
	case errs[0] != nil || errs[1] != nil:
		return untold
	case listed[0]:
		return holds
	}
	return lacks
}

// said is an entry as people write it.
func said(entry string) string {
	switch entry {
	case testEntry4:
		return "127.0.0.2"
	case neverEntry4:
		return "127.0.0.1"
	}
	return entry
}
