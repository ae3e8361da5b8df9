package native

import (
	"errors"
	"fmt"
	"math"

	"github.com/BurntSushi/toml"

	"spamcatcher/rules"
)

// Prices are points that were fitted to mail. They lie over the points that
// rule files give by judgement.
type Prices struct {
	// Bias is the log-odds in points of a message in which nothing was
	// found; 0 means that the file does not say.
	Bias   float64
	Points map[string]float64 // by symbol
}

// ParsePrices reads a file of prices: a table [points] of symbol = points,
// and perhaps bias = points. name serves errors only, which are *rules.Error.
func ParsePrices(name string, text []byte) (Prices, error) {
	var doc struct {
		Bias   float64
		Points map[string]float64
	}
	meta, err := toml.Decode(string(text), &doc)
	if err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return Prices{}, &rules.Error{File: name, Line: pe.Position.Line, Col: pe.Position.Col, Msg: pe.Message}
		}
		return Prices{}, &rules.Error{File: name, Line: 1, Msg: err.Error()}
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return Prices{}, &rules.Error{File: name, Line: lineOf(text, unknown[0].String()), Msg: fmt.Sprintf("unknown key %q: a file of prices holds bias and [points]", unknown[0])}
	}
	for symbol, points := range doc.Points {
		if math.IsNaN(points) || math.Abs(points) > 10 {
			return Prices{}, &rules.Error{File: name, Line: lineOf(text, symbol), Msg: fmt.Sprintf("the points of %s, %v, are not between -10 and 10", symbol, points)}
		}
	}
	if math.IsNaN(doc.Bias) || math.Abs(doc.Bias) > 20 {
		return Prices{}, &rules.Error{File: name, Line: lineOf(text, "bias"), Msg: fmt.Sprintf("a bias of %v points", doc.Bias)}
	}
	return Prices{doc.Bias, doc.Points}, nil
}
