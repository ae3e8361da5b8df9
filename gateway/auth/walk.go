package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"spamcatcher/gateway/lookup"
)

// maxDMARCQueries bounds the questions of one message for DMARC: eight for the
// walk from the Author Domain (RFC 9989 section 4.10), the others for whether
// it exists and for what is between it and the identifiers.
const maxDMARCQueries = 11

// A walker looks for DMARC Policy Records, at each name once.
type walker struct {
	resolver lookup.Resolver

	mu    sync.Mutex
	left  int
	known map[string]func() (*record, error)
}

var errQueries = errors.New("too many questions")

// record returns the record of a name, nil if there is none. RFC 9989 section
// 4.10: what is no record is discarded, and when several are left, all are.
func (w *walker) record(ctx context.Context, name string) (*record, error) {
	w.mu.Lock()
	if w.known == nil {
		w.known = map[string]func() (*record, error){}
	}
	fetch, known := w.known[name]
	if !known {
		if w.left == 0 {
			w.mu.Unlock()
			return nil, errQueries
		}
		w.left--
		fetch = sync.OnceValues(func() (*record, error) { return fetchRecord(ctx, w.resolver, name) })
		w.known[name] = fetch
	}
	w.mu.Unlock()
	return fetch()
}

// share makes a walker for each of the domains that a message without exactly one
// Author Domain claims, as far as the questions of one message suffice for the
// walks: first for the shortest names, so that no deep decoy takes them from the
// domain that it stands beside. all is false when some domains are left out; they
// are the last in the order that it gives the list.
func share(r lookup.Resolver, domains []string) (walks []*walker, all bool) {
	slices.SortStableFunc(domains, func(a, b string) int { return strings.Count(a, ".") - strings.Count(b, ".") })
	left := maxDMARCQueries
	for _, d := range domains {
		need := len(namesAbove(d))
		if need > left {
			break
		}
		left -= need
		walks = append(walks, &walker{resolver: r, left: need})
	}
	for _, w := range walks {
		w.left += left / len(walks)
	}
	return walks, len(walks) == len(domains)
}

func fetchRecord(ctx context.Context, r lookup.Resolver, name string) (found *record, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			found, err = nil, fmt.Errorf("fault: %v", fault)
		}
	}()
	name = "_dmarc." + name
	if !wellFormed(name) {
		return nil, nil
	}
	texts, err := lookup.Texts(ctx, r, name)
	if lookup.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, text := range texts {
		if r, ok := parseRecord(text); ok {
			if found != nil {
				return nil, nil
			}
			found = &r
		}
	}
	return found, nil
}

// A step is a name at which a walk asked, and the record there.
type step struct {
	name   string
	record *record
	err    error
}

// namesAbove are the names of a walk: RFC 9989 section 4.10. The domain itself;
// then, at most seven labels long, what is above it, to the top.
func namesAbove(domain string) []string {
	list := []string{domain}
	for strings.Count(domain, ".") > 7 {
		_, domain, _ = strings.Cut(domain, ".")
	}
	for {
		_, above, ok := strings.Cut(domain, ".")
		if !ok {
			return list
		}
		list = append(list, above)
		domain = above
	}
}

// walk asks at all names of a walk at once, so that a slow DNS is waited for
// once, and returns the steps that one after the other would have made: up to
// the first record with psd=y or psd=n.
func (w *walker) walk(ctx context.Context, domain string) []step {
	var steps []step
	for _, name := range namesAbove(domain) {
		steps = append(steps, step{name: name})
	}
	var wait sync.WaitGroup
	for i := range steps {
		wait.Go(func() { steps[i].record, steps[i].err = w.record(ctx, steps[i].name) })
	}
	wait.Wait()
	for i, s := range steps {
		if s.record != nil && s.record.psd != 'u' {
			return steps[:i+1]
		}
	}
	return steps
}

// trouble is the first error of a walk: what lies above it is not known.
func trouble(steps []step) error {
	for _, s := range steps {
		if s.err != nil {
			return s.err
		}
	}
	return nil
}

// organization selects the Organizational Domain of the domain where a walk
// began. RFC 9989 section 4.10.2.
func organization(steps []step) string {
	start := steps[0].name
	selected := start
	for _, s := range steps {
		switch {
		case s.record == nil:
			continue
		case s.record.psd == 'n':
			return s.name
		case s.record.psd == 'y' && s.name != start:
			return oneBelow(start, s.name)
		}
		selected = s.name
	}
	return selected
}

// oneBelow is the name one label longer than above, on the way to domain.
func oneBelow(domain, above string) string {
	rest := strings.TrimSuffix(domain, "."+above)
	return rest[strings.LastIndexByte(rest, '.')+1:] + "." + above
}

// A discovery is what the owner of the Author Domain publishes.
type discovery struct {
	author       string
	organization string  // "" when it is not known
	record       *record // nil if there is none
	policy       string
	err          error // DNS trouble: nothing is known but what is set
}

// discover finds the DMARC Policy Record that applies to an Author Domain, and
// its Organizational Domain. RFC 9989 section 4.10.1: the record of the Author
// Domain, else of its Organizational Domain, else of its Public Suffix Domain.
func (w *walker) discover(ctx context.Context, author string) discovery {
	d := discovery{author: author}
	if isLiteral(author) {
		d.organization = author
		return d
	}
	steps := w.walk(ctx, author)
	d.err = trouble(steps)
	if own := steps[0].record; own != nil && steps[0].err == nil {
		d.record, d.policy = own, own.policy(false, true)
	}
	if d.err != nil {
		return d
	}
	d.organization = organization(steps)
	if d.record != nil {
		return d
	}
	for _, s := range steps {
		if s.record != nil && (s.name == d.organization || s.record.psd == 'y') {
			d.record = s.record
			break
		}
	}
	if d.record == nil {
		return d
	}
	d.policy = d.record.policy(true, true)
	if missing := d.record.policy(true, false); missing != d.policy {
		exists, known := w.exists(ctx, author)
		if known && !exists || !known && strictness(missing) < strictness(d.policy) {
			d.policy = missing
		}
	}
	return d
}

// exists asks whether a name is in DNS. RFC 9989 section 3.2.13: NXDOMAIN says
// that it is not. What cannot be found out is not known.
func (w *walker) exists(ctx context.Context, name string) (exists, known bool) {
	w.mu.Lock()
	enough := w.left > 0
	w.left = max(0, w.left-1)
	w.mu.Unlock()
	if !enough {
		return false, false
	}
	_, err := w.resolver.Query(ctx, name, lookup.A)
	if errors.Is(err, lookup.ErrNoName) {
		return false, true
	}
	return true, err == nil || lookup.Missing(err)
}

func strictness(policy string) int {
	switch policy {
	case "reject":
		return 2
	case "quarantine":
		return 1
	}
	return 0
}
