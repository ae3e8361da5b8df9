package main

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
)

// appendJSON appends the verdict as one line of JSON: what encoding/json makes
// of it, without its cost.
func (s scored) appendJSON(b []byte) []byte {
	v := &s.verdict
	b = appendString(append(b, `{"path":`...), s.path)
	b = appendNumber(append(b, `,"score":`...), v.Score)
	b = append(b, `,"symbols":[`...)
	for i := range v.Symbols {
		x := &v.Symbols[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"name":`...), x.Name)
		b = appendNumber(append(b, `,"share":`...), x.Share)
		b = appendString(append(b, `,"detail":`...), x.Detail)
		b = appendString(append(b, `,"description":`...), x.Description)
		b = append(b, '}')
	}
	b = append(b, `],"faults":[`...)
	for i, f := range v.Faults {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"check":`...), f.Check)
		b = appendString(append(b, `,"kind":`...), string(f.Kind))
		b = appendString(append(b, `,"error":`...), f.Err)
		b = append(b, '}')
	}
	b = appendString(append(b, `],"virus":`...), v.Virus)
	b = strconv.AppendInt(append(b, `,"elapsed_us":`...), s.elapsed.Microseconds(), 10)
	b = appendNumber(append(b, `,"log_odds":`...), v.LogOdds)
	b = appendNumber(append(b, `,"bias":`...), v.Bias)
	b = appendString(append(b, `,"plan":`...), v.Plan)
	if len(s.answers) > 0 {
		b = append(b, `,"answers":{`...)
		for i, question := range slices.Sorted(maps.Keys(s.answers)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, question), ':')
			b = appendString(b, s.answers[question])
		}
		b = append(b, '}')
	}
	return append(b, "}\n"...)
}

// appendString appends a string of JSON.
func appendString(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7F || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(text) // never fails for a string
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

// appendNumber appends a finite number of JSON.
func appendNumber(b []byte, f float64) []byte {
	if a := math.Abs(f); a == 0 || a >= 1e-6 && a < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	number, err := json.Marshal(f)
	if err != nil { // no number
		return append(b, "null"...)
	}
	return append(b, number...)
}
