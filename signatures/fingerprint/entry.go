package fingerprint

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"
)

// An entry is what reporters said of one fingerprint. One of the fuzzy kind is
// what one reporter said of one text: nobody's word is ever counted for bands
// that he did not say himself.
type entry struct {
	kind     Kind
	bands    Bands     // of Fuzzy
	owner    uint64    // who reported it first; an operator's word has none
	rank     uint64    // place among its owner's entries that nobody confirmed; 0: somebody did, or it has no owner
	created  time.Time // the first report
	touched  time.Time // the latest
	delisted time.Time // by an operator, until then nothing is said
	voices   []voice   // by reporter
}

// A voice is one reporter's word. Its weight was true at the time at; it halves
// with every half-life.
type voice struct {
	reporter  uint64 // hash of the key's name
	day       uint32 // of the latest report that counted, in days since 1970
	spam, ham float32
	at        time.Time
}

const (
	maxVoices = 64   // an entry's; what more reporters say changes nothing
	loudest   = 1.0  // a voice weighs no more, however often its reporter says it
	heard     = 0.25 // a voice below is not counted among the reporters: two half-lives after its only report
	forgotten = 0.1  // an entry whose voices together say less vanishes
)

// A word is what a report says.
type word byte

const (
	saySpam word = iota + 1
	sayHam
	sayNothing // takes back what the same reporter said
	delist     // an operator's
)

// say adds a report: it makes the reporter's voice fresh. It tells whether that
// changed anything: a second report of a day does not, unless it says the opposite.
func (e *entry) say(w word, reporter uint64, now time.Time, half time.Duration) bool {
	i := -1
	for k := range e.voices {
		if e.voices[k].reporter == reporter {
			i = k
		}
	}
	if i < 0 {
		if w == sayNothing {
			return false
		}
		e.voices = slices.DeleteFunc(e.voices, func(v voice) bool {
			v = v.faded(now, half)
			return v.spam+v.ham < forgotten
		})
		if len(e.voices) == maxVoices {
			return false
		}
		e.voices = append(e.voices, voice{reporter: reporter, at: now})
		i = len(e.voices) - 1
	}
	v := e.voices[i].faded(now, half)
	day := uint32(now.Unix() / 86400)
	switch w {
	case saySpam:
		if v.day == day && v.spam > 0 {
			return false
		}
		v.spam, v.ham = loudest, 0
	case sayHam:
		if v.day == day && v.ham > 0 {
			return false
		}
		v.spam, v.ham = 0, loudest
	case sayNothing:
		if v.spam == 0 && v.ham == 0 {
			return false
		}
		v.spam, v.ham = 0, 0
	}
	v.day = day
	e.voices[i], e.touched = v, now
	return true
}

// faded is the voice as it sounds now.
func (v voice) faded(now time.Time, half time.Duration) voice {
	if passed := now.Sub(v.at); passed > 0 {
		f := float32(math.Exp2(-float64(passed) / float64(half)))
		v.spam, v.ham, v.at = v.spam*f, v.ham*f, now
	}
	return v
}

// sum adds the voices up.
func (e *entry) sum(now time.Time, half time.Duration) (spam, ham float64, spamReporters, hamReporters int) {
	for _, v := range e.voices {
		v = v.faded(now, half)
		spam, ham = spam+float64(v.spam), ham+float64(v.ham)
		if v.spam >= heard {
			spamReporters++
		}
		if v.ham >= heard {
			hamReporters++
		}
	}
	return spam, ham, spamReporters, hamReporters
}

// Classes of an answer.
const (
	classSpam = 1
	classHam  = 2
)

// maxLevel is the highest level: 2^14 times what the lowest takes.
const maxLevel = 15

// verdict is what is said of the entry: its class, 0 for nothing, and its
// level. It needs least reporters, and twice the weight of those who say the
// opposite. Level 1 is least reports that are fresh, each level more twice as
// many.
func (e *entry) verdict(now time.Time, half time.Duration, least int) (class, level int) {
	if now.Before(e.delisted) {
		return 0, 0
	}
	spam, ham, spamReporters, hamReporters := e.sum(now, half)
	weight := 0.0
	switch {
	case spamReporters >= least && spam > 2*ham:
		class, weight = classSpam, spam
	case hamReporters >= least && ham > 2*spam:
		class, weight = classHam, ham
	default:
		return 0, 0
	}
	level = 1 + int(math.Round(math.Log2(max(1, weight/float64(least)))))
	return class, min(level, maxLevel)
}

// over tells whether the entry is to vanish.
func (e *entry) over(now time.Time, half, ttl time.Duration) bool {
	if now.Before(e.delisted) {
		return false
	}
	spam, ham, _, _ := e.sum(now, half)
	return spam+ham < forgotten || now.Sub(e.touched) > ttl
}

var errEntry = errors.New("an entry of the store is damaged")

const voiceBytes = 8 + 4 + 4 + 4 + 8

func (e *entry) encode() []byte {
	b := make([]byte, 0, 80+fuzzyBytes+len(e.voices)*voiceBytes)
	b = append(b, 2) // version
	for _, t := range []time.Time{e.created, e.touched, e.delisted} {
		b = binary.BigEndian.AppendUint64(b, uint64(seconds(t)))
	}
	if e.kind == Fuzzy {
		b = append(b, 1)
		b = append(b, Print{Kind: Fuzzy, Bands: e.bands}.payload()...)
	} else {
		b = append(b, 0)
	}
	b = binary.BigEndian.AppendUint64(b, e.owner)
	b = binary.BigEndian.AppendUint64(b, e.rank)
	for _, v := range e.voices {
		b = binary.BigEndian.AppendUint64(b, v.reporter)
		b = binary.BigEndian.AppendUint32(b, v.day)
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(v.spam))
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(v.ham))
		b = binary.BigEndian.AppendUint64(b, uint64(seconds(v.at)))
	}
	return b
}

// seconds is 0 for the zero time.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func moment(b []byte) time.Time {
	if s := int64(binary.BigEndian.Uint64(b)); s != 0 {
		return time.Unix(s, 0)
	}
	return time.Time{}
}

func decodeEntry(kind Kind, b []byte) (*entry, error) {
	if len(b) < 26 || b[0] != 2 || b[25] > 1 || (b[25] == 1) != (kind == Fuzzy) {
		return nil, errEntry
	}
	e := &entry{kind: kind, created: moment(b[1:]), touched: moment(b[9:]), delisted: moment(b[17:])}
	b = b[26:]
	if kind == Fuzzy {
		if len(b) < fuzzyBytes {
			return nil, errEntry
		}
		e.bands = readBands(b)
		b = b[fuzzyBytes:]
	}
	if len(b) < 16 {
		return nil, errEntry
	}
	e.owner, e.rank = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	b = b[16:]
	if len(b)%voiceBytes != 0 || len(b) > maxVoices*voiceBytes {
		return nil, errEntry
	}
	for ; len(b) > 0; b = b[voiceBytes:] {
		v := voice{
			reporter: binary.BigEndian.Uint64(b), day: binary.BigEndian.Uint32(b[8:]),
			spam: math.Float32frombits(binary.BigEndian.Uint32(b[12:])), ham: math.Float32frombits(binary.BigEndian.Uint32(b[16:])), at: moment(b[20:]),
		}
		if !(v.spam >= 0 && v.ham >= 0) { // NaN too
			return nil, errEntry
		}
		e.voices = append(e.voices, v)
	}
	return e, nil
}
