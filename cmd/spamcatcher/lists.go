package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"spamcatcher/gateway/dnslist"
)

// A ListTable is one [[list]] table: a DNS list that is asked.
type ListTable struct {
	Zone     string
	Label    string
	Of       []string
	Codes    []string
	Points   float64
	Response string
	Test     string
	Mode     string

	origins map[string]string
}

// listSettings are what [[list]] can set.
var listSettings = []setting[ListTable]{
	text("zone", "name of the zone", nil, func(l *ListTable) *string { return &l.Zone }, checkHostname),
	text("label", "name of the list in symbols: LIST_LABEL; none: made from the zone's name", nil, func(l *ListTable) *string { return &l.Label }, checkLabel),
	list("of", "what is asked: clients (their addresses), links (registered domains), link_hosts (whole host names), link_literals (addresses in links), link_addresses (also those of hosts), senders (their domains)", []string{"clients"}, func(l *ListTable) *[]string { return &l.Of }, func(s string) error { _, err := ofWord(s); return err }),
	list("codes", "answers that count, each \"ANSWER MEANING [POINTS]\"; ANSWER is an address, a range, a network, or &N for bits; none: every answer in 127.0.0.0/8", nil, func(l *ListTable) *[]string { return &l.Codes }, func(s string) error { _, err := parseCode(s, 0); return err }),
	decimal("points", "points of a listing, unless its code has its own; below zero for lists of good senders", 2, func(l *ListTable) *float64 { return &l.Points }, -20, 20),
	text("response", "reply to a refused client, <IP> stands for its address; none: what the list publishes", nil, func(l *ListTable) *string { return &l.Response }, checkResponse),
	text("test", "entry that must be listed for the list to be alive; none: that of RFC 5782", nil, func(l *ListTable) *string { return &l.Test }, checkHostname),
	text("mode", "what becomes of a listed client: enforce, score or off; none: policy.dnsbl", nil, func(l *ListTable) *string { return &l.Mode }, testModes),
}

func readList(c *Config, t tableText) error {
	l := ListTable{origins: map[string]string{}}
	for _, s := range listSettings {
		if err := s.set(&l, s.fallback()); err != nil {
			return fmt.Errorf("default of %s: %w", s.key, err)
		}
	}
	if err := readTable(t, listSettings, &l, l.origins); err != nil {
		return err
	}
	if l.Zone == "" {
		return t.fail("zone", "is missing")
	}
	if l.Points == 0 {
		return t.fail("points", "0 is no price; a listing that is only to be shown can have 0.01")
	}
	c.Lists = append(c.Lists, l)
	return nil
}

func ofWord(s string) (dnslist.Of, error) {
	switch s {
	case "clients":
		return dnslist.Clients, nil
	case "links":
		return dnslist.Links, nil
	case "link_hosts":
		return dnslist.LinkHosts, nil
	case "link_literals":
		return dnslist.LinkLiterals, nil
	case "link_addresses":
		return dnslist.LinkAddresses, nil
	case "senders":
		return dnslist.Senders, nil
	}
	return 0, fmt.Errorf("%q is none of clients, links, link_hosts, link_literals, link_addresses, senders", s)
}

// parseCode reads "ANSWER MEANING [POINTS]".
func parseCode(s string, points float64) (dnslist.Code, error) {
	fields := strings.Fields(s)
	if len(fields) < 2 || len(fields) > 3 {
		return dnslist.Code{}, fmt.Errorf("%q is not \"ANSWER MEANING [POINTS]\", such as \"127.0.0.2 SBL 4\"", s)
	}
	if err := checkLabel(fields[1]); err != nil {
		return dnslist.Code{}, err
	}
	code := dnslist.Code{Match: fields[0], Meaning: fields[1], Points: points}
	if len(fields) == 3 {
		n, err := strconv.ParseFloat(fields[2], 64)
		if err != nil || !(n >= -20 && n <= 20) || n == 0 {
			return dnslist.Code{}, fmt.Errorf("%q are no points between -20 and 20 (and not 0)", fields[2])
		}
		code.Points = n
	}
	return code, nil
}

// checkLabel: what can stand in a symbol.
func checkLabel(s string) error {
	if s == "" || len(s) > 40 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return fmt.Errorf("%q is no name of 1 to 40 capital letters, digits and underscores", s)
	}
	return nil
}

// checkResponse: one line of a reply. RFC 5321 section 4.2: printable ASCII.
func checkResponse(s string) error {
	if len(s) > 400 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("%q is no line of at most 400 printable ASCII characters", s)
	}
	return nil
}

// zones are the lists that c asks: its own, and those that the program knows
// unless c has one of the same name.
func (c *Config) zones() ([]dnslist.Zone, error) {
	var zones []dnslist.Zone
	for _, l := range c.Lists {
		z := dnslist.Zone{Name: l.Zone, Label: l.Label, Points: l.Points, Response: l.Response, Test: l.Test, Mode: l.Mode}
		for _, word := range l.Of {
			of, err := ofWord(word)
			if err != nil {
				return nil, err
			}
			z.Of |= of
		}
		for _, text := range l.Codes {
			code, err := parseCode(text, l.Points)
			if err != nil {
				return nil, err
			}
			z.Codes = append(z.Codes, code)
		}
		zones = append(zones, z)
	}
	if c.BuiltinLists {
		for _, known := range dnslist.Known() {
			if !slices.ContainsFunc(zones, func(z dnslist.Zone) bool { return strings.EqualFold(z.Name, known.Name) }) {
				zones = append(zones, known)
			}
		}
	}
	return zones, nil
}

// zoneNames are the names of zones, and that of the fingerprint network.
func (c *Config) zoneNames() ([]string, error) {
	zones, err := c.zones()
	var names []string
	for _, z := range zones {
		names = append(names, z.Name)
	}
	if c.FingerprintZone != "" {
		names = append(names, c.FingerprintZone)
	}
	return names, err
}

func printList(w io.Writer, l ListTable) {
	fmt.Fprint(w, "\n[[list]]\n")
	for _, s := range listSettings {
		if l.origins[s.key] != "" {
			fmt.Fprintf(w, "%-54s # %s\n", s.key+" = "+s.show(&l), l.origins[s.key])
		}
	}
}
