package spamassassin

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	dateForms = []*regexp.Regexp{
		regexp.MustCompile(`(?i) (\d{1,4}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4}) `),
		regexp.MustCompile(`(?i) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +(\d{1,4}) \d+:\d+:\d+ (\d{4}) `),
		regexp.MustCompile(`(?i) (\d{1,4}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{2,3}) `),
	}
	clockForm = regexp.MustCompile(` (\d?\d):(\d\d)(?::(\d\d))? `)
	zoneForm  = regexp.MustCompile(` ([-+])(\d\d)(\d\d) `)
	zoneWord  = regexp.MustCompile(`\b([A-Z]{2,4}(?:-DST)?)\b`)
	traceTime = regexp.MustCompile(`\s.?\d+ \S\S\S \d+ \d+:\d+:\d+ \S+`)
	localHop  = regexp.MustCompile(`\bfrom (?:localhost\s|(?:\S+ ){1,2}\S*\b127\.0\.0\.1\b)|qmail \d+ invoked by uid \d+`)
	fetchHop  = regexp.MustCompile(`\bby localhost with \w+ \(fetchmail-[\d.]+`)
	commas    = regexp.MustCompile(`, *`)
)

// zones are the time zones that RFC 822 section 5.1 and custom know, in hours
// and minutes.
var zones = map[string]int{"UT": 0, "UTC": 0, "GMT": 0, "EST": -500, "EDT": -400, "CST": -600, "CDT": -500, "MST": -700, "MDT": -600, "PST": -800, "PDT": -700,
	"HST": -1000, "AKST": -900, "AKDT": -800, "HADT": -900, "HAST": -1000, "NST": -330, "NDT": -230, "WET": 0, "WEST": 100, "CET": 100, "CEST": 200, "EET": 200, "EEST": 300,
	"MSK": 300, "MSD": 400, "BST": 100, "IST": 200, "MET": 100, "MEST": 200, "MET-DST": 200, "JST": 900, "KST": 900, "IDT": 300, "SGT": 800, "HKT": 800, "AEST": 1000, "AEDT": 1100,
	"AST": -400, "ADT": -300, "NZST": 1200, "NZDT": 1300, "ICT": 700, "MUT": 400, "SAST": 200, "CLST": -300, "CLT": -400, "BRT": -300, "BRST": -200, "ART": -300, "WIB": 700, "PHT": 800, "NZT": 1200}

// parseDate reads a date of a header, leniently, as seconds since 1970.
func parseDate(text string) (int64, bool) {
	s := " " + strings.Join(strings.Fields(commas.ReplaceAllString(clipTo(text, 1000), " ")), " ") + " "
	var day, month, year string
	found := false
	for i, form := range dateForms {
		at := form.FindStringSubmatchIndex(s)
		if at == nil {
			continue
		}
		day, month, year = s[at[2]:at[3]], s[at[4]:at[5]], s[at[6]:at[7]]
		if i == 1 {
			day, month = month, day
			s = s[:at[0]] + " " + s[at[5]:at[6]] + s[at[7]:]
		} else {
			s = s[:at[0]] + " " + s[at[1]:]
		}
		found = true
		break
	}
	if !found {
		return 0, false
	}
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	y, d := number(year), number(day)
	if len(year) == 2 && y < 50 {
		y += 2000
	} else if len(year) != 4 {
		y += 1900
	}
	mon := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(month))/3 + 1
	var h, min, sec int
	if at := clockForm.FindStringSubmatchIndex(s); at != nil {
		h, min = number(s[at[2]:at[3]]), number(s[at[4]:at[5]])
		if at[6] >= 0 {
			sec = number(s[at[6]:at[7]])
		}
		s = s[:at[0]] + " " + s[at[1]:]
	}
	zone := 0
	if z := zoneForm.FindStringSubmatch(s); z != nil {
		zone = number(z[2])*100 + number(z[3])
		if z[1] == "-" {
			zone = -zone
		}
	} else if w := zoneWord.FindStringSubmatch(s); w != nil {
		zone = zones[w[1]]
	}
	h, min, sec = clamp(h, 23), clamp(min, 59), clamp(sec, 59)
	if last := time.Date(y, time.Month(mon)+1, 0, 0, 0, 0, 0, time.UTC).Day(); d > last {
		d = 1
		if mon++; mon > 12 {
			mon, y = 1, y+1
		}
	}
	y = max(1970, clamp(y, 2037))
	if d < 1 {
		return 0, false
	}
	t := time.Date(y, time.Month(mon), d, h, min, sec, 0, time.UTC).Unix()
	return max(0, t-int64(zone/100*60+zone%100)*60), true
}

func clamp(n, most int) int { return min(n, most) }

// dateFacts compare the date of a mail with those of its trace fields.
type dateFacts struct {
	date     int64
	hasDate  bool
	received []int64
	fetched  int64
	diff     int64
}

func (m *mail) date() *dateFacts {
	if m.dates != nil {
		return m.dates
	}
	d := &dateFacts{}
	m.dates = d
	for _, key := range []string{"resent-date", "date"} {
		for _, v := range m.values(key) {
			if d.date, d.hasDate = parseDate(v); d.hasDate {
				break
			}
		}
		if d.hasDate {
			break
		}
	}
	var lines, local []string
	for _, v := range m.values("received") {
		if strings.Trim(v, white) != "" {
			lines = append(lines, v)
		}
	}
	if len(lines) > 0 && localHop.MatchString(lines[0]) {
		local, lines = lines[:1:1], lines[1:]
	}
	if len(lines) > 0 && fetchHop.MatchString(lines[0]) {
		local, lines = append(local, lines[0]), lines[1:]
	} else if len(local) > 0 {
		lines, local = append(local, lines...), nil
	}
	for _, l := range local {
		if t, ok := parseDate(traceTime.FindString(l)); ok {
			d.fetched = max(d.fetched, t)
		}
	}
	for _, l := range lines {
		if t, ok := parseDate(traceTime.FindString(l)); ok {
			d.received = append(d.received, t)
		}
	}
	if !d.hasDate || len(d.received) == 0 {
		return d
	}
	diffs := make([]int64, len(d.received))
	for i, t := range d.received {
		diffs[i] = d.date - t
	}
	if n := len(diffs); n > 1 && diffs[n-1] == 0 {
		diffs = diffs[:n-1]
	}
	d.diff = diffs[0]
	for _, v := range diffs[1:] {
		if abs(v) < abs(d.diff) {
			d.diff = v
		}
	}
	return d
}

func abs(v int64) int64 { return max(v, -v) }

func shiftedDate(_ *compiled, args []string) (evalCall, error) {
	low, high, err := bounds(args)
	return func(m *mail) float64 { return truth(atLeastBelow(float64(m.date().diff), 3600*low, 3600*high)) }, err
}

// receivedMonths is how many months ago the mail was received.
func receivedMonths(m *mail) float64 {
	d := m.date()
	var times []int64
	if d.hasDate {
		times = append(times, d.date)
	}
	if len(d.received) > 0 {
		times = append(times, d.received[0])
	}
	if d.fetched > 0 {
		times = append(times, d.fetched)
	}
	if d.hasDate && len(d.received) > 0 {
		times = append(times, d.date-d.diff)
	}
	if len(times) == 0 || m.now.IsZero() {
		return 0
	}
	slices.Sort(times)
	slices.Reverse(times)
	return float64(m.now.Unix()-times[(len(times)-1)/2]) / 31556952 * 12
}
