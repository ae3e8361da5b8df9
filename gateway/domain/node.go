package domain

import (
	"crypto/x509"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// A Node is what a client asks for by ETRN. RFC 1985: a domain; with
// "@" before it the domain and its subdomains; with "#" a queue's name.
type Node struct {
	Domain string // folded; "" when a queue is named
	Tree   bool   // with subdomains
	Queue  string // folded
}

// ParseNode reads ETRN's argument. It reports whether the argument is a node;
// one that is, is printable ASCII of at most 256 octets.
func ParseNode(argument string) (Node, bool) {
	if name, ok := strings.CutPrefix(argument, "#"); ok {
		name, ok = foldQueue(name)
		return Node{Queue: name}, ok
	}
	name, tree := strings.CutPrefix(argument, "@")
	name, ok := Fold(name)
	if !ok || name[0] == '[' {
		return Node{}, false
	}
	return Node{Domain: name, Tree: tree}, true
}

// String is the node as ETRN has it.
func (n Node) String() string {
	switch {
	case n.Queue != "":
		return "#" + n.Queue
	case n.Tree:
		return "@" + n.Domain
	}
	return n.Domain
}

// A Release is mail that is to be delivered now: what waits in a queue and is
// for a domain, or, with a dot before its name, for a domain and its
// subdomains. Without a domain it is all that waits in the queue. A domain with
// A-labels comes twice, once with U-labels, because mail is addressed to either.
type Release struct{ Queue, Domain string }

// part is the mail for a domain, or tree, that belongs to d.
func (t *Table) part(d Domain, name string) []Release {
	if name == d.Name && len(t.queues[d.Queue]) == 1 {
		return []Release{{Queue: d.Queue}} // nothing else waits there
	}
	all := []Release{{d.Queue, name}}
	if unicode, err := idna.ToUnicode(name); err == nil && unicode != name {
		all = append(all, Release{d.Queue, unicode})
	}
	return all
}

// Releases returns the mail that a client gets by asking for a node; none when
// it may not ask for any of it.
//
//   - A domain is the domain that Find finds, and the client must be allowed to
//     ask for that one.
//   - A tree is every domain in it that the client may ask for, and no other.
//   - A queue is every domain of it that the client may ask for.
//
// What it returns depends on nothing but the domains that the client may ask
// for: domains of others and domains that do not exist look the same.
func (t *Table) Releases(n Node, client netip.Addr, certificate *x509.Certificate, now time.Time) []Release {
	if n.Domain != "" && !n.Tree {
		if d, ok := t.Find(n.Domain); ok && d.Releases(client, certificate, now) {
			return t.part(d, n.Domain)
		}
		return nil
	}
	var all []Release
	domains := 0
	for _, i := range t.allowed(client, certificate, now) {
		d := t.all[i]
		bare, tree := strings.CutPrefix(d.Name, ".")
		switch {
		case n.Queue != "":
			if d.Queue == n.Queue {
				domains++
				all = append(all, t.part(d, d.Name)...)
			}
		case within(bare, n.Domain):
			all = append(all, t.part(d, d.Name)...)
		case tree && within(n.Domain, bare):
			// Part of a larger tree, if no smaller one comes between.
			if smallest, ok := t.Find("x." + n.Domain); ok && smallest.Name == d.Name {
				all = append(all, t.part(d, "."+n.Domain)...)
			}
		}
	}
	if domains > 0 && domains == len(t.queues[n.Queue]) {
		return []Release{{Queue: n.Queue}}
	}
	return all
}

// foldQueue folds a queue's name.
func foldQueue(name string) (string, bool) {
	name = strings.ToLower(name)
	return name, name != "" && len(name) <= 255 && strings.Trim(name, letters+".") == ""
}
