package rules

import (
	"net/mail"
	"strings"
	"time"

	"spamcatcher/engine"
)

// parseDate reads an RFC 5322 date and the older shapes that real mail still
// carries. RFC 5322 section 4.3 allows obsolete zones and two-digit years.
func parseDate(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 120 {
		return time.Time{}, false
	}
	if t, err := mail.ParseDate(s); err == nil {
		return t, true
	}
	if i := strings.IndexByte(s, '('); i > 0 {
		s = s[:i]
	}
	s = strings.Join(strings.Fields(s), " ")
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

var dateLayouts = []string{
	"Mon, 2 Jan 2006 15:04:05 -0700",
	"Mon, 2 Jan 2006 15:04:05 MST",
	"Mon, 2 Jan 2006 15:04:05",
	"Mon, 2 Jan 2006 15:04 -0700",
	"Monday, 2 Jan 2006 15:04:05 -0700",
	"2 Jan 2006 15:04:05 -0700",
	"2 Jan 2006 15:04:05 MST",
	"2 Jan 2006 15:04:05",
	"Mon Jan 2 15:04:05 2006",
	"Mon Jan 2 15:04:05 2006 -0700",
	"Mon Jan 2 15:04:05 MST 2006",
	time.RFC3339,
}

// received returns the dates of the Received fields, newest hop first; the
// zero time stands for a hop without a date that can be read.
// RFC 5321 section 4.4: the date follows the last semicolon.
func received(m *engine.Mail) []time.Time {
	fields := m.Message.Header().RawValues("Received")
	if len(fields) > 100 {
		fields = fields[:100]
	}
	out := make([]time.Time, 0, len(fields))
	for _, f := range fields {
		var t time.Time
		if i := strings.LastIndexByte(f, ';'); i >= 0 {
			t, _ = parseDate(f[i+1:])
		}
		out = append(out, t)
	}
	return out
}

// arrival is when the message came in: the session's time, else the date of
// the newest Received field that has one.
func arrival(m *engine.Mail) (time.Time, bool) {
	if !m.Session.Time.IsZero() {
		return m.Session.Time, true
	}
	for _, t := range received(m) {
		if !t.IsZero() {
			return t, true
		}
	}
	return time.Time{}, false
}

func sentAt(m *engine.Mail) (time.Time, bool) {
	return parseDate(m.Message.Header().Get("Date"))
}

// writtenAt is the best guess at the age of the mail: when it arrived, else
// what its Date field says.
func writtenAt(m *engine.Mail) (time.Time, bool) {
	if t, ok := arrival(m); ok {
		return t, true
	}
	return sentAt(m)
}

func dateSkew(m *engine.Mail) (float64, bool) {
	sent, ok := sentAt(m)
	if !ok {
		return 0, false
	}
	came, ok := arrival(m)
	if !ok {
		return 0, false
	}
	return sent.Sub(came).Hours(), true
}

func dateHoursAhead(m *engine.Mail) (float64, bool) {
	h, ok := dateSkew(m)
	return max(h, 0), ok
}

func dateHoursBehind(m *engine.Mail) (float64, bool) {
	h, ok := dateSkew(m)
	return max(-h, 0), ok
}

func dateUnparsable(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
	if !h.Has("Date") {
		return 0, false
	}
	_, ok := sentAt(m)
	return truth(!ok), true
}

// dateZoneOdd: no place on earth is off UTC by more than 14 hours or by
// minutes that are no multiple of a quarter hour.
func dateZoneOdd(m *engine.Mail) (float64, bool) {
	t, ok := sentAt(m)
	if !ok {
		return 0, false
	}
	_, off := t.Zone()
	return truth(off > 14*3600 || off < -12*3600 || off%900 != 0), true
}

// dateWeekdayWrong: the named day of the week is not that of the date.
func dateWeekdayWrong(m *engine.Mail) (float64, bool) {
	raw := strings.TrimSpace(m.Message.Header().Get("Date"))
	t, ok := sentAt(m)
	if !ok || len(raw) < 4 {
		return 0, false
	}
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(raw[:3], d.String()[:3]) {
			return truth(t.Weekday() != d), true
		}
	}
	return 0, false
}

func receivedCount(m *engine.Mail) (float64, bool) {
	return float64(m.Message.Header().Count("Received")), true
}

func receivedUndated(m *engine.Mail) (float64, bool) {
	n := 0
	for _, t := range received(m) {
		if t.IsZero() {
			n++
		}
	}
	return float64(n), true
}

// receivedBackwards is the largest number of hours by which an older hop
// claims to be later than the hop that took the mail from it.
func receivedBackwards(m *engine.Mail) (float64, bool) {
	var newer time.Time
	worst, pairs := 0.0, 0
	for _, t := range received(m) {
		if t.IsZero() {
			continue
		}
		if !newer.IsZero() {
			pairs++
			worst = max(worst, t.Sub(newer).Hours())
		}
		newer = t
	}
	return worst, pairs > 0
}

// receivedHours is how long the mail was under way, from the oldest dated hop
// to the newest.
func receivedHours(m *engine.Mail) (float64, bool) {
	var first, last time.Time
	n := 0
	for _, t := range received(m) {
		if t.IsZero() {
			continue
		}
		if n == 0 {
			last = t
		}
		first = t
		n++
	}
	return last.Sub(first).Hours(), n > 1
}

// muaOutdated is by how many years the mail is younger than the last release
// of the program that claims to have written it.
func muaOutdated(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
	name := h.Get("X-Mailer")
	if name == "" {
		name = h.Get("User-Agent")
	}
	if name == "" {
		return 0, false
	}
	t, ok := writtenAt(m)
	if !ok {
		return 0, false
	}
	name = strings.ToLower(name)
	for _, p := range lastReleases {
		if strings.HasPrefix(name, p.prefix) {
			return float64(t.Year()-p.year) + float64(t.YearDay())/366, true
		}
	}
	return 0, false
}

// lastReleases names mail programs that are no longer made, by the beginning
// of what they write into X-Mailer, with the year of their last release.
var lastReleases = []struct {
	prefix string
	year   int
}{
	{"microsoft outlook express", 2008},
	{"microsoft outlook imo", 2001},
	{"microsoft outlook, build", 2004},
	{"microsoft office outlook, build 11", 2007},
	{"microsoft office outlook 11", 2007},
	{"microsoft office outlook 12", 2011},
	{"microsoft windows mail 6", 2009},
	{"microsoft windows live mail", 2014},
	{"microsoft cdo for windows 2000", 2008},
	{"microsoft exchange v6", 2005},
	{"internet mail service", 2003},
	{"qualcomm windows eudora", 2006},
	{"eudora", 2006},
	{"aol 7", 2003}, {"aol 8", 2004}, {"aol 9", 2010}, {"aol for", 2006},
	{"ximian evolution", 2005},
	{"incredimail", 2012},
	{"the bat! (v1", 2003}, {"the bat! (v2", 2005}, {"the bat! (v3", 2008}, {"the bat! (v4", 2012},
	{"the bat! (v5", 2014},
	{"foxmail 4", 2003}, {"foxmail 5", 2005}, {"foxmail 6", 2010},
	{"lotus notes release 5", 2003}, {"lotus notes release 6", 2007},
	{"thunderbird 1", 2007}, {"thunderbird 2", 2010},
	{"mozilla 4", 2002},
	{"phpmailer [version 1", 2011},
	{"dreammail", 2013}, {"becky! ver. 2.0", 2006}, {"opera mail", 2016},
	{"kmail [version 1", 2004}, {"kmail/1", 2012},
	{"quicksender", 2003},
}
