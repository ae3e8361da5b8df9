package rules_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// evil are messages made to be dear, of about size bytes: floods of what
// literals and patterns begin with, and of each thing that rules go over.
func evil(size int) map[string]string {
	flood := func(unit string) string { return strings.Repeat(unit, size/len(unit)) }
	const head = "From: a@example.com\nSubject: x\nMIME-Version: 1.0\n"
	text := head + "Content-Type: text/plain; charset=utf-8\n\n"
	html := head + "Content-Type: text/html; charset=utf-8\n\n"
	var lines strings.Builder
	for i := 0; lines.Len() < size; i++ {
		fmt.Fprintf(&lines, "X-%d: click here to verify your account\n", i%500)
	}
	return map[string]string{
		"near misses":       text + flood("click your account mail pay bitcoin invoice order send verify suspended password lottery million "),
		"near misses, line": text + flood("click\nyour\naccount\nmail\npay\nbitcoin\ninvoice\norder\nsend\nverify\n"),
		"one letter":        text + flood("a"),
		"spaces":            text + flood(" \t"),
		"digits and signs":  text + flood("$1.000,00 %7 @x "),
		"Kelvin signs":      text + flood("\u212aiss \u017fend "),
		"two scripts":       text + flood("\u043f\u0430\u0440\u043e\u043b\u044c \u8d26\u6237 "),
		"tags":              html + flood("<img src=x width=1><a href=y><b>"),
		"open tags":         html + flood("<a <img <td "),
		"links":             html + flood("<a href=\"https://login.example.com/verify/account?x=1\">https://www.example.net/</a> "),
		"bare links":        text + flood("http://192.0.2.1/wp-content/login.php?account=verify "),
		"hidden":            html + flood("<i style=\"display:none\">verify your account</i> "),
		"fields":            head + lines.String() + "\nbody\n",
		"one long field":    head + "X-Long: " + flood("click here to verify your account ") + "\n\nbody\n",
		"received":          flood("Received: from [192.0.2.1] by mail.example.com with ESMTP; Tue, 10 Mar 2026 09:30:00 +0000\n") + head + "\nbody\n",
		"recipients":        "To: " + flood("Lottery Winner <a@example.com>, ") + "\n" + head + "\nbody\n",
		"parts":             head + "Content-Type: multipart/mixed; boundary=b\n\n" + flood("--b\nContent-Type: application/pdf; name=\"invoice.pdf.exe\"\n\nMZ\n") + "--b--\n",
	}
}

// TestEvil proves that no message of a megabyte makes the embedded rules take
// time that grows faster than the message: twice the size may cost at most
// three times as much, as processor time of this thread and the least of three
// rounds, and nothing above what is searched at most.
func TestEvil(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: takes seconds; run without -short")
	}
	rs := builtinSet(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cost := func(raw string) time.Duration {
		m := parsed([]byte(strings.ReplaceAll(raw, "\n", "\r\n")))
		least := time.Hour
		for range 3 {
			begin := threadTime(t)
			if _, err := rs.Inspect(context.Background(), m); err != nil {
				t.Fatal(err)
			}
			least = min(least, threadTime(t)-begin)
		}
		return least
	}
	// What takes less is not judged: its ratio is noise.
	floor := 50 * time.Millisecond
	if underRace {
		floor *= 10
	}
	half, full := evil(1<<19), evil(1<<20)
	if len(full) < 15 {
		t.Fatal("kinds are missing")
	}
	for name := range full {
		a, b := cost(half[name]), cost(full[name])
		t.Logf("%-18s %8.1f ms, twice as long %8.1f ms", name, ms(a), ms(b))
		if b > 3*a && b > floor {
			t.Errorf("%s: %.1f ms, twice as long %.1f ms: more than linear", name, ms(a), ms(b))
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
