package native

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"spamcatcher/rules"
)

// decoder turns one table into one rule and collects what is wrong with it.
type decoder struct {
	file string
	at   table
	errs []error
}

var (
	ruleKeys       = []string{"symbol", "description", "points", "hit", "miss"}
	conditionKeys  = []string{"body", "skeleton", "rawbody", "header", "html", "uri", "attachment", "defect", "envelope", "fact", "meta"}
	headerKeys     = []string{"name", "of", "match", "absent", "present", "min_count"}
	htmlKeys       = []string{"tag", "min", "hidden", "means", "image"}
	uriKeys        = []string{"match", "host", "text", "source", "deceptive", "ip", "punycode", "userinfo", "obfuscated"}
	attachmentKeys = []string{"name", "type", "detected", "mismatch", "min_size", "max_size"}
	defectKeys     = []string{"kind", "min"}
	envelopeKeys   = []string{"of", "match"}
	factKeys       = []string{"name", "above", "below"}
)

// fail records a fault at a key, or at the table when the key is not there.
func (d *decoder) fail(key, format string, args ...any) {
	pos := d.at.pos
	if p, ok := d.at.keys[key]; ok {
		pos = p
	}
	d.errs = append(d.errs, &rules.Error{File: d.file, Line: pos.Line, Col: pos.Col, Msg: fmt.Sprintf(format, args...)})
}

func (d *decoder) rule(t map[string]any) rules.Rule {
	r := rules.Rule{File: d.file, Line: d.at.pos.Line, Col: d.at.pos.Col}
	d.known("", t, append(append([]string{}, ruleKeys...), conditionKeys...))
	r.Symbol = d.str(t, "", "symbol")
	if r.Symbol == "" {
		d.fail("symbol", "a rule without symbol")
	}
	r.Description = d.str(t, "", "description")
	r.Points = d.float(t, "", "points")
	if _, ok := t["points"]; !ok && !r.Term() && r.Symbol != "" {
		d.fail("symbol", "%s has no points", r.Symbol)
	}
	r.Hit, r.Miss = d.samples(t, "hit"), d.samples(t, "miss")
	var found []string
	for _, key := range conditionKeys {
		if v, ok := t[key]; ok {
			found = append(found, key)
			r.When = d.condition(key, v)
			r.At = d.at.keys[key]
		}
	}
	switch len(found) {
	case 1:
	case 0:
		d.fail("symbol", "%s has no condition; one of %s is needed", r.Symbol, strings.Join(conditionKeys, ", "))
	default:
		d.fail(found[1], "%s has %d conditions (%s); exactly one is allowed, meta combines them", r.Symbol, len(found), strings.Join(found, ", "))
	}
	return r
}

func (d *decoder) condition(key string, v any) rules.Condition {
	switch key {
	case "body", "skeleton", "rawbody":
		return rules.Text{View: rules.View(key), Pattern: d.plain(key, v)}
	case "meta":
		return rules.Meta{Expr: d.plain(key, v)}
	case "header":
		t := d.table(key, v, headerKeys)
		return rules.Header{
			Name: d.str(t, key, "name"), Of: d.str(t, key, "of"), Match: d.str(t, key, "match"),
			Absent: d.flag(t, key, "absent"), Present: d.flag(t, key, "present"), MinCount: d.number(t, key, "min_count"),
		}
	case "html":
		t := d.table(key, v, htmlKeys)
		return rules.HTML{
			Tag: d.str(t, key, "tag"), Min: d.number(t, key, "min"),
			Hidden: d.str(t, key, "hidden"), Means: d.str(t, key, "means"), Image: d.str(t, key, "image"),
		}
	case "uri":
		if s, ok := v.(string); ok {
			return rules.Link{Match: s}
		}
		t := d.table(key, v, uriKeys)
		return rules.Link{
			Match: d.str(t, key, "match"), Host: d.str(t, key, "host"), Text: d.str(t, key, "text"), Source: d.str(t, key, "source"),
			Deceptive: d.choice(t, key, "deceptive"), IP: d.choice(t, key, "ip"), Punycode: d.choice(t, key, "punycode"),
			UserInfo: d.choice(t, key, "userinfo"), Obfuscated: d.choice(t, key, "obfuscated"),
		}
	case "attachment":
		t := d.table(key, v, attachmentKeys)
		return rules.Attachment{
			Name: d.str(t, key, "name"), Type: d.str(t, key, "type"), Detected: d.str(t, key, "detected"),
			Mismatch: d.choice(t, key, "mismatch"), MinSize: d.number(t, key, "min_size"), MaxSize: d.number(t, key, "max_size"),
		}
	case "defect":
		if s, ok := v.(string); ok {
			return rules.Defect{Name: s}
		}
		t := d.table(key, v, defectKeys)
		return rules.Defect{Match: d.str(t, key, "kind"), Min: d.number(t, key, "min")}
	case "envelope":
		t := d.table(key, v, envelopeKeys)
		return rules.Envelope{Of: d.str(t, key, "of"), Match: d.str(t, key, "match")}
	default: // fact
		t := d.table(key, v, factKeys)
		return rules.Measure{Name: d.str(t, key, "name"), Above: d.bound(t, key, "above"), Below: d.bound(t, key, "below")}
	}
}

// known complains of keys that are not allowed and names the nearest that is.
func (d *decoder) known(parent string, t map[string]any, allowed []string) {
	for _, key := range slices.Sorted(maps.Keys(t)) {
		if !slices.Contains(allowed, key) {
			msg := fmt.Sprintf("unknown key %q", path(parent, key))
			if near := Nearest(key, allowed); near != "" {
				msg += fmt.Sprintf("; did you mean %q?", path(parent, near))
			}
			d.fail(path(parent, key), "%s", msg)
		}
	}
}

func (d *decoder) table(key string, v any, allowed []string) map[string]any {
	t, ok := v.(map[string]any)
	if !ok {
		d.fail(key, "%s must be a table { … } with %s, not %s", key, strings.Join(allowed, ", "), kind(v))
		return nil
	}
	d.known(key, t, allowed)
	return t
}

func (d *decoder) plain(key string, v any) string {
	s, ok := v.(string)
	if !ok {
		d.fail(key, "%s must be a string, not %s", key, kind(v))
	}
	return s
}

func (d *decoder) str(t map[string]any, parent, key string) string {
	v, ok := t[key]
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		d.fail(path(parent, key), "%s must be a string, not %s", path(parent, key), kind(v))
	} else if s == "" {
		d.fail(path(parent, key), "%s is empty", path(parent, key))
	}
	return s
}

func (d *decoder) float(t map[string]any, parent, key string) float64 {
	switch v := t[key].(type) {
	case nil:
	case float64:
		return v
	case int64:
		return float64(v)
	default:
		d.fail(path(parent, key), "%s must be a number, not %s", path(parent, key), kind(v))
	}
	return 0
}

func (d *decoder) bound(t map[string]any, parent, key string) *float64 {
	if _, ok := t[key]; !ok {
		return nil
	}
	f := d.float(t, parent, key)
	return &f
}

func (d *decoder) number(t map[string]any, parent, key string) int {
	v, ok := t[key]
	if !ok {
		return 0
	}
	n, ok := v.(int64)
	if !ok || n < 0 || n > 1<<40 {
		d.fail(path(parent, key), "%s must be a whole number from 0, not %s", path(parent, key), kind(v))
		return 0
	}
	return int(n)
}

func (d *decoder) choice(t map[string]any, parent, key string) *bool {
	v, ok := t[key]
	if !ok {
		return nil
	}
	b, ok := v.(bool)
	if !ok {
		d.fail(path(parent, key), "%s must be true or false, not %s", path(parent, key), kind(v))
	}
	return &b
}

// flag is a key that only makes sense as true.
func (d *decoder) flag(t map[string]any, parent, key string) bool {
	b := d.choice(t, parent, key)
	if b != nil && !*b {
		d.fail(path(parent, key), "%s can only be true; leave it out otherwise", path(parent, key))
	}
	return b != nil && *b
}

func (d *decoder) samples(t map[string]any, key string) []rules.Sample {
	v, ok := t[key]
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		d.fail(key, "%s must be a list of strings, not %s", key, kind(v))
		return nil
	}
	var out []rules.Sample
	for i, e := range list {
		s, ok := e.(string)
		if !ok {
			d.fail(key, "%s must be a list of strings, but element %d is %s", key, i+1, kind(e))
			continue
		}
		line := d.at.keys[key].Line
		if at := d.at.list[key]; i < len(at) {
			line = at[i].Line
		}
		out = append(out, rules.Sample{Text: s, Line: line})
	}
	return out
}

func path(parent, key string) string {
	if parent == "" {
		return key
	}
	return parent + "." + key
}

// kind names the type of a TOML value for a person.
func kind(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the string %q", v)
	case int64, float64:
		return fmt.Sprintf("the number %v", v)
	case bool:
		return fmt.Sprintf("%v", v)
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date"
}

// lineOf finds the line on which a top-level key or table head first stands.
func lineOf(text []byte, key string) int {
	for i, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimLeft(line, " \t[\"'")
		if bytes.HasPrefix(line, []byte(key)) {
			return i + 1
		}
	}
	return 1
}
