package domain

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Table finds domains. It is immutable, safe for any number of goroutines,
// and takes the same time for any number of domains; nil is the empty table.
type Table struct {
	all    []Domain         // by name
	exact  map[string]int   // folded name to place in all
	trees  map[string]int   // name without its dot
	queues map[string][]int // with servers of their own

	// Who may ask for what. Lengths are those of the networks' prefixes, so that
	// a client's networks are found without looking at every domain.
	networks     map[netip.Prefix][]int
	lengths      []int
	fingerprints map[[sha256.Size]byte][]int
}

// New makes a table. Errors name the domain and the value that is wrong.
func New(configs []Config) (*Table, error) {
	t := &Table{
		all: make([]Domain, 0, len(configs)), exact: make(map[string]int, len(configs)), trees: map[string]int{}, queues: make(map[string][]int, len(configs)),
		networks: map[netip.Prefix][]int{}, fingerprints: map[[sha256.Size]byte][]int{},
	}
	for _, c := range configs {
		d, err := newDomain(c)
		if err != nil {
			return nil, err
		}
		t.all = append(t.all, d)
	}
	slices.SortFunc(t.all, func(a, b Domain) int { return strings.Compare(a.Name, b.Name) })
	for i, d := range t.all {
		if i > 0 && t.all[i-1].Name == d.Name {
			return nil, fmt.Errorf("domain %q: given twice", d.Name)
		}
		if bare, tree := strings.CutPrefix(d.Name, "."); tree {
			t.trees[bare] = i
		} else {
			t.exact[d.Name] = i
		}
		if !d.Own() {
			continue
		}
		if first := t.queues[d.Queue]; len(first) > 0 {
			if err := d.agrees(t.all[first[0]]); err != nil {
				return nil, err
			}
		}
		t.queues[d.Queue] = append(t.queues[d.Queue], i)
		if of := t.queues[d.Queue]; d.Concurrency > t.all[of[0]].Concurrency {
			of[0], of[len(of)-1] = i, of[0]
		}
		for _, n := range d.networks {
			t.networks[n] = append(t.networks[n], i)
			if !slices.Contains(t.lengths, n.Bits()) {
				t.lengths = append(t.lengths, n.Bits())
			}
		}
		for _, f := range d.fingerprints {
			t.fingerprints[f] = append(t.fingerprints[f], i)
		}
	}
	return t, nil
}

// Find returns the domain that an address, or a domain, belongs to: the one of
// that name, else the smallest tree that it lies in.
func (t *Table) Find(address string) (Domain, bool) {
	if i, ok := t.find(address); ok {
		return t.all[i], true
	}
	return Domain{}, false
}

func (t *Table) find(address string) (int, bool) {
	if t == nil || len(t.all) == 0 {
		return 0, false
	}
	name, ok := Fold(address[strings.LastIndexByte(address, '@')+1:])
	if !ok {
		return 0, false
	}
	if i, ok := t.exact[name]; ok {
		return i, true
	}
	if len(t.trees) == 0 {
		return 0, false
	}
	for ; name != ""; name = parent(name) {
		if i, ok := t.trees[name]; ok {
			return i, true
		}
	}
	return 0, false
}

// All returns the domains, by name. The slice is the caller's.
func (t *Table) All() []Domain {
	if t == nil {
		return nil
	}
	return slices.Clone(t.all)
}

// Lane is the queue that mail for an address waits in: that of its domain if
// the domain has servers of its own, else "".
func (t *Table) Lane(address string) string {
	if i, ok := t.find(address); ok && t.all[i].Own() {
		return t.all[i].Queue
	}
	return ""
}

// Queue returns the domain of a queue that sets the largest Concurrency, by the
// queue's folded name: where its mail goes is the same for all of them.
func (t *Table) Queue(name string) (Domain, bool) {
	if t == nil || len(t.queues[name]) == 0 {
		return Domain{}, false
	}
	return t.all[t.queues[name][0]], true
}

// ETRN says whether anybody at all may ask for mail, and whether anybody may by
// certificate.
func (t *Table) ETRN() (offered, certificates bool) {
	if t == nil {
		return false, false
	}
	return len(t.networks)+len(t.fingerprints) > 0, len(t.fingerprints) > 0
}

// allowed returns the places of the domains whose mail a client may ask for, in
// order.
func (t *Table) allowed(client netip.Addr, certificate *x509.Certificate, now time.Time) []int {
	if t == nil {
		return nil
	}
	client = client.Unmap().WithZone("")
	var places []int
	for _, bits := range t.lengths {
		if n, err := client.Prefix(bits); err == nil {
			places = append(places, t.networks[n]...)
		}
	}
	if sum, ok := proof(certificate, now); ok {
		places = append(places, t.fingerprints[sum]...)
	}
	slices.Sort(places)
	return slices.Compact(places)
}
