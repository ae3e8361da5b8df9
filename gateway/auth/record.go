package auth

import (
	"net/url"
	"strings"
)

// maxDMARCRecord bounds a record, in bytes; what is longer is none.
const maxDMARCRecord = 8192

// A record is a DMARC Policy Record: RFC 9989 section 4.7. The policies are
// "none", "quarantine" or "reject"; sp and np are "" when they are not given.
type record struct {
	p, sp, np               string
	psd                     byte // y, n or u
	strictDKIM, strictSPF   bool // adkim=s, aspf=s
	testing                 bool // t=y
	unusable                bool // RFC 9989 section 4.10.1: no DMARC processing
	wrongPolicy, hasReports bool
}

// parseRecord reads a TXT record. ok is false if it is no DMARC Policy Record:
// v=DMARC1 must come first. RFC 9989 section 4.8: unknown tags are ignored, and
// so are values that are not valid, but for p, sp and np. Of a tag that is
// there twice, the first counts.
func parseRecord(text string) (r record, ok bool) {
	if len(text) > maxDMARCRecord {
		return r, false
	}
	version, rest, _ := strings.Cut(text, ";")
	name, value, _ := strings.Cut(version, "=")
	if !strings.EqualFold(strings.Trim(name, " \t"), "v") || strings.Trim(value, " \t") != "DMARC1" {
		return r, false
	}
	r = record{p: None, psd: 'u'}
	seen := map[string]bool{}
	for spec := range strings.SplitSeq(rest, ";") {
		name, value, ok := strings.Cut(spec, "=")
		name = strings.ToLower(strings.Trim(name, " \t"))
		if !ok || seen[name] {
			continue
		}
		seen[name] = true
		r.set(name, strings.Trim(value, " \t"))
	}
	if r.wrongPolicy {
		// Section 4.10.1: as if p=none were there, if it can be told to somebody.
		r.p, r.sp, r.np = None, "", ""
		r.unusable = !r.hasReports
	}
	return r, true
}

func (r *record) set(name, value string) {
	value = strings.TrimSpace(value)
	word := strings.ToLower(value)
	switch name {
	case "p", "sp", "np":
		if word != None && word != "quarantine" && word != "reject" {
			r.wrongPolicy = true
			return
		}
		switch name {
		case "p":
			r.p = word
		case "sp":
			r.sp = word
		default:
			r.np = word
		}
	case "psd":
		if word == "y" || word == "n" {
			r.psd = word[0]
		}
	case "t":
		r.testing = word == "y"
	case "adkim":
		r.strictDKIM = word == "s"
	case "aspf":
		r.strictSPF = word == "s"
	case "rua":
		for uri := range strings.SplitSeq(value, ",") {
			u, err := url.Parse(strings.TrimSpace(uri))
			if err == nil && u.Scheme != "" && (u.Opaque != "" || u.Host != "") {
				r.hasReports = true
			}
		}
	}
}

// policy is what the owner asks for mail that fails. RFC 9989 section 4.10.1:
// p for the domain of the record; for domains below it sp, or np if they do
// not exist, when these are given. Section 4.7: t=y asks for one level less.
func (r *record) policy(below, exists bool) string {
	word := r.p
	if below {
		if r.sp != "" {
			word = r.sp
		}
		if r.np != "" && !exists {
			word = r.np
		}
	}
	if r.testing {
		switch word {
		case "reject":
			word = "quarantine"
		case "quarantine":
			word = None
		}
	}
	return word
}
