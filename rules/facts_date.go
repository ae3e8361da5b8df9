package rules

import (
	"strings"
	"time"
)

// parseDate reads an RFC 5322 section 3.3 date, the obsolete forms of its
// section 4.3 (two-digit years, named zones, comments) and the form of
// asctime, which real mail still carries. It never looks at more than the
// first 16 words.
func parseDate(s string) (time.Time, bool) {
	var words [16]string
	n := 0
	for rest := s; n < len(words); n++ {
		rest = strings.TrimLeft(rest, " \t\r\n,")
		if rest == "" || rest[0] == '(' {
			break
		}
		end := strings.IndexAny(rest, " \t\r\n,(")
		if end < 0 {
			end = len(rest)
		}
		words[n], rest = rest[:end], rest[end:]
	}
	d := dateParts{day: -1, year: -1, hour: -1}
	for _, w := range words[:n] {
		if !d.take(w) {
			return time.Time{}, false
		}
	}
	return d.time()
}

// dateParts are the parts of a date, each found by its shape; -1 and 0 mean
// not found yet.
type dateParts struct {
	day, year, hour, minute, second int
	month                           time.Month
	zone                            int // seconds east of UTC
	zoned                           bool
}

// take finds out what a word of a date is; false when it is nothing.
func (d *dateParts) take(w string) bool {
	c := w[0]
	switch {
	case strings.IndexByte(w, ':') > 0:
		return d.clock(w)
	case (c == '+' || c == '-') && d.hour >= 0 && len(w) == 5:
		v, ok := decimal(w[1:])
		if !ok {
			return false
		}
		d.zone, d.zoned = (v/100*60+v%100)*60, true
		if c == '-' {
			d.zone = -d.zone
		}
		return true
	case c >= '0' && c <= '9':
		if strings.Count(w, "-") == 2 && d.month == 0 {
			parts := strings.Split(w, "-")
			return d.take(parts[0]) && d.take(parts[1]) && d.take(parts[2])
		}
		v, ok := decimal(w)
		switch {
		case !ok:
			return false
		case d.day < 0 && len(w) <= 2:
			d.day = v
		case d.year < 0 && len(w) <= 4:
			d.year = v
			if len(w) == 2 && v < 50 {
				d.year += 2000
			} else if len(w) <= 3 {
				d.year += 1900
			}
		default:
			return false
		}
		return true
	case len(w) >= 3 && d.month == 0 && monthOf(w) != 0:
		d.month = monthOf(w)
		return true
	case len(w) >= 3 && d.day < 0 && weekday(w):
		return true
	case d.hour >= 0 && len(w) <= 5 && asciiLetter(c):
		if !d.zoned {
			d.zone = zones[strings.ToUpper(w)] * 360
		}
		return true
	}
	return false
}

func (d *dateParts) clock(w string) bool {
	if d.hour >= 0 {
		return false
	}
	h, rest, _ := strings.Cut(w, ":")
	m, s, seconds := strings.Cut(rest, ":")
	if i := strings.IndexByte(s, '.'); i > 0 {
		s = s[:i]
	}
	var ok1, ok2 bool
	ok3 := true
	d.hour, ok1 = decimal(h)
	d.minute, ok2 = decimal(m)
	if seconds {
		d.second, ok3 = decimal(s)
	}
	return ok1 && ok2 && ok3 && d.hour < 24 && d.minute < 60 && d.second <= 60
}

func (d *dateParts) time() (time.Time, bool) {
	if d.day < 1 || d.day > 31 || d.month == 0 || d.year < 0 || d.hour < 0 || d.year < 1970 {
		return time.Time{}, false
	}
	return time.Date(d.year, d.month, d.day, d.hour, d.minute, d.second, 0, time.FixedZone("", d.zone)), true
}

// decimal reads up to four digits.
func decimal(s string) (int, bool) {
	if s == "" || len(s) > 4 {
		return 0, false
	}
	v := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		v = v*10 + int(s[i]-'0')
	}
	return v, true
}

func monthOf(w string) time.Month {
	for m := time.January; m <= time.December; m++ {
		if name := m.String(); strings.EqualFold(w, name[:3]) || strings.EqualFold(w, name) {
			return m
		}
	}
	return 0
}

func weekday(w string) bool {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if name := d.String(); strings.EqualFold(w, name[:3]) || strings.EqualFold(w, name) {
			return true
		}
	}
	return false
}

// zones are the names of RFC 5322 section 4.3 and a few that are in use, in
// tenths of an hour; any other name counts as UTC.
var zones = map[string]int{"EST": -50, "EDT": -40, "CST": -60, "CDT": -50, "MST": -70, "MDT": -60, "PST": -80, "PDT": -70,
	"CET": 10, "CEST": 20, "BST": 10, "MET": 10, "MEST": 20, "EET": 20, "EEST": 30, "MSK": 30, "MSD": 40, "IST": 55, "JST": 90, "KST": 90, "HKT": 80, "SGT": 80,
	"AEST": 100, "AEDT": 110, "NZST": 120, "NZDT": 130}

// received returns the dates of the Received fields, newest hop first; the
// zero time stands for a hop without a date that can be read.
func (m *evidence) received() []time.Time {
	return m.hops.get(func() []time.Time {
		fields := m.RawValues("Received")
		out := make([]time.Time, 0, min(len(fields), 100))
		for _, f := range fields[:cap(out)] {
			t, _ := receivedAt(f)
			out = append(out, t)
		}
		return out
	})
}

// arrival is when the message came in: the session's time, else the date of
// the newest Received field that has one, among the first that there are.
func (m *evidence) arrival() (time.Time, bool) {
	if !m.Session.Time.IsZero() {
		return m.Session.Time, true
	}
	a := m.came.get(func() moment {
		for i, t := range m.received() {
			if !t.IsZero() {
				return moment{t, true}
			} else if i > 20 {
				break
			}
		}
		return moment{}
	})
	return a.at, a.ok
}

// receivedAt reads the date of a Received field.
// RFC 5321 section 4.4: it follows the last semicolon.
func receivedAt(field string) (time.Time, bool) {
	i := strings.LastIndexByte(field, ';')
	if i < 0 {
		return time.Time{}, false
	}
	return parseDate(field[i+1:])
}

func (m *evidence) sentAt() (time.Time, bool) {
	a := m.sent.get(func() moment {
		t, ok := parseDate(m.Raw("Date"))
		return moment{t, ok}
	})
	return a.at, a.ok
}

// writtenAt is the best guess at the age of the mail: when it arrived, else
// what its Date field says.
func writtenAt(m *evidence) (time.Time, bool) {
	if t, ok := m.arrival(); ok {
		return t, true
	}
	return m.sentAt()
}

func dateSkew(m *evidence) (float64, bool) {
	sent, ok := m.sentAt()
	if !ok {
		return 0, false
	}
	came, ok := m.arrival()
	if !ok {
		return 0, false
	}
	return sent.Sub(came).Hours(), true
}

func dateHoursAhead(m *evidence) (float64, bool) {
	h, ok := dateSkew(m)
	return max(h, 0), ok
}

func dateHoursBehind(m *evidence) (float64, bool) {
	h, ok := dateSkew(m)
	return max(-h, 0), ok
}

func dateUnparsable(m *evidence) (float64, bool) {
	h := m.head()
	if !h.Has("Date") {
		return 0, false
	}
	_, ok := m.sentAt()
	return truth(!ok), true
}

// dateZoneOdd: no place on earth is off UTC by more than 14 hours or by
// minutes that are no multiple of a quarter hour.
func dateZoneOdd(m *evidence) (float64, bool) {
	t, ok := m.sentAt()
	if !ok {
		return 0, false
	}
	_, off := t.Zone()
	return truth(off > 14*3600 || off < -12*3600 || off%900 != 0), true
}

// dateWeekdayWrong: the named day of the week is not that of the date.
func dateWeekdayWrong(m *evidence) (float64, bool) {
	raw := strings.TrimSpace(m.head().Raw("Date"))
	t, ok := m.sentAt()
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

func receivedCount(m *evidence) (float64, bool) {
	return float64(m.head().Count("Received")), true
}

func receivedUndated(m *evidence) (float64, bool) {
	n := 0
	for _, t := range m.received() {
		if t.IsZero() {
			n++
		}
	}
	return float64(n), true
}

// receivedBackwards is the largest number of hours by which an older hop
// claims to be later than the hop that took the mail from it.
func receivedBackwards(m *evidence) (float64, bool) {
	var newer time.Time
	worst, pairs := 0.0, 0
	for _, t := range m.received() {
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
func receivedHours(m *evidence) (float64, bool) {
	var first, last time.Time
	n := 0
	for _, t := range m.received() {
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
func muaOutdated(m *evidence) (float64, bool) {
	h := m.head()
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
