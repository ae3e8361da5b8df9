package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"spamcatcher/engine"
)

// A Threshold is the score from which something happens. It is written as a
// score from 0 to 100 and then acts on scores strictly above it, so that 100
// means never; or in points, and then acts at or above them.
//
// The zero Threshold is not set: it means what the wider scope says (recipient,
// domain, global), and never where no scope says anything.
type Threshold struct {
	kind  thresholdKind
	value float64
}

type thresholdKind uint8

const (
	unset thresholdKind = iota
	aboveScore
	atPoints
)

// evenPoints is where the odds of spam are even: 5 points are a score of 50,
// and every further point doubles the odds.
const evenPoints = 5

// rounding is how far, in log-odds, a sum of prices may lie below a threshold
// in points and still be at it. Prices are multiples of ln 2, so that sums of a
// thousand of them are off by some 1e-12, and nobody prices by 1e-9.
const rounding = 1e-9

// Never is the threshold that no score reaches.
var Never = Threshold{aboveScore, 100}

// ParseThreshold reads a threshold as configuration files have it: a number or
// a text with a number from 0 to 100, or a text such as "25 points". A nil
// value is the threshold that is not set. With an error comes Never.
func ParseThreshold(value any) (Threshold, error) {
	switch v := value.(type) {
	case nil:
		return Threshold{}, nil
	case Threshold:
		return v, nil
	case int:
		return scoreThreshold(float64(v))
	case int64:
		return scoreThreshold(float64(v))
	case float64:
		return scoreThreshold(v)
	case string:
		return parseThreshold(v)
	}
	return Never, fmt.Errorf("a threshold is a number from 0 to 100 or a text such as \"25 points\", not %T", value)
}

func parseThreshold(text string) (Threshold, error) {
	number := strings.ToLower(strings.TrimSpace(text))
	inPoints := false
	for _, unit := range []string{"points", "point"} {
		if rest, ok := strings.CutSuffix(number, unit); ok {
			number, inPoints = strings.TrimSpace(rest), true
			break
		}
	}
	// ParseFloat alone would take "inf", "0x1p3" and "1e2" too.
	if number == "" || strings.Trim(number, "0123456789.+-") != "" {
		return Never, badThreshold(text)
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return Never, badThreshold(text)
	}
	if inPoints {
		return Threshold{atPoints, value}, nil
	}
	return scoreThreshold(value)
}

func scoreThreshold(value float64) (Threshold, error) {
	if !(value >= 0 && value <= 100) {
		return Never, fmt.Errorf("threshold %v is not between 0 and 100", value)
	}
	return Threshold{aboveScore, value}, nil
}

func badThreshold(text string) error {
	if len(text) > 40 {
		text = text[:40] + "…"
	}
	return fmt.Errorf("threshold %q is neither a number from 0 to 100 nor a number of points such as \"25 points\"", text)
}

// Set says whether the threshold says anything at all.
func (t Threshold) Set() bool { return t.kind != unset }

// Reached says whether the threshold acts on a message. The score is in per
// cent; logOdds is what it was computed from and decides for thresholds in
// points, because from about 58 points on the score is 100 to the last bit.
func (t Threshold) Reached(score, logOdds float64) bool {
	switch t.kind {
	case aboveScore:
		return score > t.value
	case atPoints:
		return logOdds >= (t.value-evenPoints)*engine.Point-rounding
	}
	return false
}

// String writes the threshold as ParseThreshold reads it; one that is not set
// is "100".
func (t Threshold) String() string {
	switch t.kind {
	case aboveScore:
		return strconv.FormatFloat(t.value, 'f', -1, 64)
	case atPoints:
		return strconv.FormatFloat(t.value, 'f', -1, 64) + " points"
	}
	return "100"
}

// higher is a standing that is above every threshold but 100, lower one that
// is above none.
var (
	higher = standing{100, math.Inf(1)}
	lower  = standing{0, math.Inf(-1)}
)

// A standing is where a message stands after sender lists and signatures.
type standing struct{ score, logOdds float64 }

func (s standing) reaches(t Threshold) bool { return t.Reached(s.score, s.logOdds) }
