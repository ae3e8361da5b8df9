package main

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"spamcatcher/gateway/relay"
)

// A setting is one value of a T that can be configured.
type setting[T any] struct {
	key      string // as in the native form; "table.key" inside a table
	doc      string
	fallback func() any
	set      func(c *T, value any) error
	show     func(c *T) string
	fixed    bool // takes effect at the next start, not on reload
}

// fix marks a setting that takes effect at the next start only.
func (s setting[T]) fix() setting[T] { s.fixed = true; return s }

func text[T any](key, doc string, fallback func() string, field func(*T) *string, check func(string) error) setting[T] {
	return setting[T]{
		key: key, doc: doc,
		fallback: func() any {
			if fallback == nil {
				return ""
			}
			return fallback()
		},
		set: func(c *T, value any) error {
			v, ok := value.(string)
			if !ok {
				return fmt.Errorf("%v is not a text", value)
			}
			if v = strings.TrimSpace(v); check != nil && !(v == "" && fallback == nil) {
				if err := check(v); err != nil {
					return err
				}
			}
			*field(c) = v
			return nil
		},
		show: func(c *T) string { return strconv.Quote(*field(c)) },
	}
}

// list is a setting of several texts; the classic form separates them by
// commas.
func list[T any](key, doc string, fallback []string, field func(*T) *[]string, check func(string) error) setting[T] {
	return setting[T]{
		key: key, doc: doc,
		fallback: func() any { return fallback },
		set: func(c *T, value any) error {
			var items []string
			switch v := value.(type) {
			case string:
				for item := range strings.SplitSeq(v, ",") {
					if item = strings.TrimSpace(item); item != "" {
						items = append(items, item)
					}
				}
			case []string:
				items = v
			case []any:
				for _, item := range v {
					s, ok := item.(string)
					if !ok {
						return fmt.Errorf("%v is not a text", item)
					}
					items = append(items, strings.TrimSpace(s))
				}
			default:
				return fmt.Errorf("%v is not a list of texts", value)
			}
			for _, item := range items {
				if err := check(item); err != nil {
					return err
				}
			}
			*field(c) = items
			return nil
		},
		show: func(c *T) string {
			quoted := make([]string, len(*field(c)))
			for i, item := range *field(c) {
				quoted[i] = strconv.Quote(item)
			}
			return "[" + strings.Join(quoted, ", ") + "]"
		},
	}
}

func flag[T any](key, doc string, fallback bool, field func(*T) *bool) setting[T] {
	return setting[T]{
		key: key, doc: doc,
		fallback: func() any { return fallback },
		set: func(c *T, value any) error {
			switch v := value.(type) {
			case bool:
				*field(c) = v
				return nil
			case string:
				switch strings.ToLower(v) {
				case "yes", "true", "on", "1":
					*field(c) = true
					return nil
				case "no", "false", "off", "0":
					*field(c) = false
					return nil
				}
			}
			return fmt.Errorf("%v is neither yes nor no", value)
		},
		show: func(c *T) string { return strconv.FormatBool(*field(c)) },
	}
}

func number[T any](key, doc string, fallback int, field func(*T) *int, least, most int64) setting[T] {
	return integer(key, doc, int64(fallback), func(c *T, n int64) { *field(c) = int(n) }, func(c *T) int64 { return int64(*field(c)) }, least, most)
}

func size[T any](key, doc string, fallback int64, field func(*T) *int64, least, most int64) setting[T] {
	return integer(key, doc, fallback, func(c *T, n int64) { *field(c) = n }, func(c *T) int64 { return *field(c) }, least, most)
}

func integer[T any](key, doc string, fallback int64, set func(*T, int64), get func(*T) int64, least, most int64) setting[T] {
	return setting[T]{
		key: key, doc: doc,
		fallback: func() any { return fallback },
		set: func(c *T, value any) error {
			n, err := asInteger(value)
			if err != nil {
				return err
			}
			if n < least || n > most {
				return fmt.Errorf("%d is not between %d and %d", n, least, most)
			}
			set(c, n)
			return nil
		},
		show: func(c *T) string { return strconv.FormatInt(get(c), 10) },
	}
}

// duration is a setting that is a whole number of units, or a text with a
// unit of its own ("90s", "2h").
func duration[T any](key, doc string, fallback, unit time.Duration, field func(*T) *time.Duration, least, most time.Duration) setting[T] {
	return setting[T]{
		key: key, doc: doc,
		fallback: func() any { return fallback.String() },
		set: func(c *T, value any) error {
			var d time.Duration
			if n, err := asInteger(value); err == nil {
				if n < 0 || n > math.MaxInt64/int64(unit) {
					return fmt.Errorf("%d is out of range", n)
				}
				d = time.Duration(n) * unit
			} else if s, ok := value.(string); ok {
				if d, err = time.ParseDuration(s); err != nil {
					return fmt.Errorf("%q is neither a number nor a duration such as \"90s\"", s)
				}
			} else {
				return fmt.Errorf("%v is neither a number nor a duration such as \"90s\"", value)
			}
			if d < least || d > most {
				return fmt.Errorf("%v is not between %v and %v", d, least, most)
			}
			*field(c) = d
			return nil
		},
		show: func(c *T) string { return strconv.Quote(field(c).String()) },
	}
}

// decimal is a setting that is a number, whole or not.
func decimal[T any](key, doc string, fallback float64, field func(*T) *float64, least, most float64) setting[T] {
	return setting[T]{
		key: key, doc: doc,
		fallback: func() any { return fallback },
		set: func(c *T, value any) error {
			var n float64
			switch v := value.(type) {
			case float64:
				n = v
			case int64:
				n = float64(v)
			default:
				return fmt.Errorf("%v is not a number", value)
			}
			if !(n >= least && n <= most) { // nor if it is NaN
				return fmt.Errorf("%v is not between %v and %v", n, least, most)
			}
			*field(c) = n
			return nil
		},
		show: func(c *T) string { return strconv.FormatFloat(*field(c), 'g', -1, 64) },
	}
}

func asInteger(value any) (int64, error) {
	switch v := value.(type) {
	case int64:
		return v, nil
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%v is not a whole number", value)
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil || checkHostname(name) != nil {
		return "localhost"
	}
	return name
}

func notEmpty(s string) error {
	if s == "" {
		return fmt.Errorf("is empty")
	}
	return nil
}

func oneOf(words ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("%q is none of %s", s, strings.Join(words, ", "))
		}
		return nil
	}
}

// tlsModes checks how connections to servers are encrypted.
var tlsModes = oneOf("off", "may", "encrypt", "verify")

// checkHostname: letters, digits, hyphens and dots (RFC 1123 section 2.1).
func checkHostname(s string) error {
	if s == "" || len(s) > 255 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") != "" || strings.HasPrefix(s, ".") || strings.Contains(s, "..") {
		return fmt.Errorf("%q is no host name", s)
	}
	return nil
}

func checkDomain(s string) error {
	return checkHostname(strings.TrimPrefix(s, "."))
}

func checkListen(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err == nil && host != "" && host != "localhost" {
		_, err = netip.ParseAddr(host)
	}
	if err == nil {
		err = checkPort(port, 0)
	}
	if err != nil {
		return fmt.Errorf("%q is no address to listen on (such as 127.0.0.1:2525 or [::]:25)", s)
	}
	return nil
}

func checkPort(s string, least int) error {
	if n, err := strconv.Atoi(s); err != nil || n < least || n > 65535 {
		return fmt.Errorf("%q is no port", s)
	}
	return nil
}

func checkServer(s string) error {
	_, err := relay.ParseServer(s)
	return err
}

func checkAddress(s string) error {
	if _, err := netip.ParseAddr(s); err != nil {
		return fmt.Errorf("%q is no IP address", s)
	}
	return nil
}
