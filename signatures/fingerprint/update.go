package fingerprint

import (
	"cmp"
	"encoding/hex"
	"errors"
	"time"

	"github.com/miekg/dns"
)

// Words in the TXT record of a report.
const (
	spamText = "spam"
	hamText  = "ham"
)

// maxReports bounds the reports of one message.
const maxReports = 64

// update takes the reports of a message (RFC 2136): "add TXT spam" or "ham" to
// the name of a fingerprint, "delete TXT" with either to take one's word back,
// "delete the name" to take it off the list, which operators may.
func (s *Server) update(r *dns.Msg, packed []byte) []byte {
	m := new(dns.Msg)
	m.SetReply(r)
	m.Question = nil
	now := s.c.Now()
	fail := func(rcode int, why string) []byte {
		s.refuse(now, "", rcode, why)
		m.Rcode = rcode
		return s.pack(m, r, false)
	}
	t := r.IsTsig()
	if t == nil { // RFC 2136 section 3.3
		return fail(dns.RcodeRefused, "not signed")
	}
	for _, rr := range r.Extra[:len(r.Extra)-1] { // RFC 8945 section 5.1: the one that is verified must be the one that is read
		if rr.Header().Rrtype == dns.TypeTSIG {
			return fail(dns.RcodeFormatError, "signed twice")
		}
	}
	key, known := s.keys[dns.CanonicalName(t.Hdr.Name)]
	if !known || dns.CanonicalName(t.Algorithm) != dns.HmacSHA256 {
		return s.unsigned(m, t, dns.RcodeBadKey)
	}
	err := key.verify(packed, t, "", now)
	if errors.Is(err, dns.ErrTime) {
		return s.signed(m, key, t.MAC, now, dns.RcodeNotAuth, dns.RcodeBadTime)
	}
	if err != nil {
		return s.unsigned(m, t, dns.RcodeBadSig)
	}
	done := func(rcode int) []byte { return s.signed(m, key, t.MAC, now, rcode, 0) }
	zone := r.Question[0]
	switch {
	case zone.Qtype != dns.TypeSOA || zone.Qclass != dns.ClassINET:
		return done(dns.RcodeFormatError)
	case dns.CanonicalName(zone.Name) != s.zone: // RFC 2136 section 3.1.2
		return done(dns.RcodeNotAuth)
	case len(r.Answer) != 0: // prerequisites
		return done(dns.RcodeRefused)
	case len(r.Ns) == 0 || len(r.Ns) > maxReports:
		return done(dns.RcodeRefused)
	}
	reports := make([]report, 0, len(r.Ns))
	for _, rr := range r.Ns {
		one, rcode := s.reportOf(rr, key)
		if rcode != dns.RcodeSuccess {
			return done(rcode)
		}
		reports = append(reports, one)
	}
	mac, err := signatureOf(t)
	if err != nil {
		return done(dns.RcodeFormatError)
	}
	// Who sends a captured report again must not use up its reporter's allowance.
	if was, err := s.store.taken(mac); err == nil && was {
		return s.signed(m, key, t.MAC, now, dns.RcodeNotAuth, dns.RcodeBadTime)
	}
	s.mu.Lock()
	allowed := s.rate[dns.CanonicalName(key.Name)].take(len(reports), s.c.Rate, now)
	s.mu.Unlock()
	if !allowed {
		return done(dns.RcodeRefused)
	}
	changed, err := s.store.tell(reports, reporterID(key.Name), mac, time.Unix(int64(t.TimeSigned)+fudge+1, 0), now)
	switch {
	case errors.Is(err, errReplayed): // both came at once
		s.mu.Lock()
		s.rate[dns.CanonicalName(key.Name)].left += float64(len(reports))
		s.mu.Unlock()
		return s.signed(m, key, t.MAC, now, dns.RcodeNotAuth, dns.RcodeBadTime)
	case err != nil:
		s.c.Log.Error("fingerprints: writing reports", "error", err)
		return done(dns.RcodeServerFailure)
	}
	s.reports.Add(uint64(len(reports)))
	s.c.Log.Info("fingerprints: reported", "reporter", key.Name, "fingerprints", len(reports), "changed", changed)
	return done(dns.RcodeSuccess)
}

// reportOf reads one record of an update.
func (s *Server) reportOf(rr dns.RR, key Key) (r report, rcode int) {
	h := rr.Header()
	label, ours := s.below(h.Name)
	if !ours { // RFC 2136 section 3.4.1.3
		return r, dns.RcodeNotZone
	}
	p, err := ParseName(label)
	if err != nil {
		return r, dns.RcodeRefused
	}
	r.print = p
	text := ""
	if txt, ok := rr.(*dns.TXT); ok && len(txt.Txt) == 1 {
		text = txt.Txt[0]
	}
	switch {
	case h.Class == dns.ClassINET && text == spamText:
		r.word = saySpam
	case h.Class == dns.ClassINET && text == hamText:
		r.word = sayHam
	case h.Class == dns.ClassNONE && (text == spamText || text == hamText): // RFC 2136 section 2.5.4
		r.word = sayNothing
	case h.Class == dns.ClassANY && h.Rrtype == dns.TypeANY && key.Role == Operator: // RFC 2136 section 2.5.3
		r.word = delist
	default:
		return r, dns.RcodeRefused
	}
	return r, dns.RcodeSuccess
}

// signed packs a reply signed by the key that the request was signed with.
// RFC 8945 section 5.3
func (s *Server) signed(m *dns.Msg, key Key, requestMAC string, now time.Time, rcode int, tsigError uint16) []byte {
	m.Rcode = rcode
	if rcode != dns.RcodeSuccess {
		s.refuse(now, key.Name, rcode, dns.RcodeToString[int(tsigError)])
	}
	reply, _, err := key.sign(m, requestMAC, now, tsigError)
	if err != nil {
		s.c.Log.Error("fingerprints: signing a reply", "error", err)
		return nil
	}
	return reply
}

// unsigned packs the reply to a request whose signature is none of ours: it
// must not be signed. RFC 8945 section 5.2.1 and 5.2.2
func (s *Server) unsigned(m *dns.Msg, t *dns.TSIG, tsigError uint16) []byte {
	s.refuse(s.c.Now(), "", dns.RcodeNotAuth, dns.RcodeToString[int(tsigError)])
	m.Rcode = dns.RcodeNotAuth
	m.Extra = append(m.Extra, &dns.TSIG{
		Hdr:       dns.RR_Header{Name: t.Hdr.Name, Rrtype: dns.TypeTSIG, Class: dns.ClassANY},
		Algorithm: t.Algorithm, TimeSigned: t.TimeSigned, Fudge: t.Fudge, OrigId: m.Id, Error: tsigError,
	})
	reply, err := m.Pack()
	if err != nil {
		return nil
	}
	return reply
}

// refusedEvery is the least time between two lines of the log about refused
// reports: anybody can send some.
const refusedEvery = 10 * time.Second

// refuse counts a refused report, and writes of the first in a while, with how
// many there were since the last that was written of.
func (s *Server) refuse(now time.Time, reporter string, rcode int, why string) {
	total := s.refused.Add(1)
	s.mu.Lock()
	since := now.Sub(s.toldOf)
	if !s.toldOf.IsZero() && since >= 0 && since < refusedEvery {
		s.mu.Unlock()
		return
	}
	more := total - s.toldTotal
	s.toldOf, s.toldTotal = now, total
	s.mu.Unlock()
	s.c.Log.Info("fingerprints: reports are refused", "refused", more, "latest", cmp.Or(reporter, "not known"), "rcode", dns.RcodeToString[rcode], "why", why)
}

func signatureOf(t *dns.TSIG) ([]byte, error) { return hex.DecodeString(t.MAC) }

// A bucket holds what a reporter may still report. It fills evenly, within an
// hour.
type bucket struct {
	left   float64
	filled time.Time
}

// take takes n out, unless there is less.
func (b *bucket) take(n, rate int, now time.Time) bool {
	if b.filled.IsZero() {
		b.left = float64(rate)
	} else if passed := now.Sub(b.filled); passed > 0 {
		b.left = min(float64(rate), b.left+passed.Hours()*float64(rate))
	}
	b.filled = now
	if b.left < float64(n) {
		return false
	}
	b.left -= float64(n)
	return true
}
