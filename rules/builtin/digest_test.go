package builtin

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// digestOf is how many texts make one digest.
const digestOf = 25

// TestDigests joins the texts of the good mail to digests of a mailing list,
// which speak of loans, lotteries, wallets and parcels one after the other:
// what is counted over a whole text must not condemn them.
func TestDigests(t *testing.T) {
	rs := compiled(t)
	points := map[string]float64{}
	for _, r := range rs.Rules() {
		points[r.Symbol] = r.Points
	}
	files, err := filepath.Glob(filepath.Join("testdata", "good", "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	digests := len(files) / digestOf
	if digests < 5 {
		t.Fatalf("only %d good messages, too few for digests", len(files))
	}
	for i := range digests {
		var b bytes.Buffer
		fmt.Fprintf(&b, "From: dev-request@lists.example.org\r\nTo: dev@lists.example.org\r\nSubject: dev Digest, Vol 12, Issue %d\r\n"+
			"Date: Tue, 5 Mar 2024 12:00:00 +0000\r\nMessage-ID: <%d@lists.example.org>\r\nList-Id: <dev.lists.example.org>\r\nPrecedence: list\r\n"+
			"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", i, i)
		for j := i; j < len(files); j += digests { // neighbours are alike: take from everywhere
			raw, err := os.ReadFile(files[j])
			if err != nil {
				t.Fatal(err)
			}
			text := message.Parse(bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n")), message.Limits{}).Text()
			b.WriteString(strings.ReplaceAll(text, "\n", "\r\n"))
			b.WriteString("\r\n\r\n------------------------------\r\n\r\n")
		}
		m := &engine.Mail{Message: message.Parse(b.Bytes(), message.Limits{})}
		hits, err := rs.Inspect(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		sum, symbols := 0.0, []string{}
		for _, h := range append(hits, rs.Combine(m, hits)...) {
			sum += points[h.Symbol]
			symbols = append(symbols, h.Symbol)
		}
		t.Logf("%5.1f digest %d (%d bytes): %s", sum, i, b.Len(), strings.Join(symbols, " "))
		if sum >= threshold {
			t.Errorf("digest %d: %.1f points, must be below %d: %s", i, sum, threshold, strings.Join(symbols, " "))
		}
	}
}
