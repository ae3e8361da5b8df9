package bayes

import (
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// BenchmarkInspect judges a message of 4 KB whose views are there.
func BenchmarkInspect(b *testing.B) {
	m, err := Embedded()
	if err != nil {
		b.Fatal(err)
	}
	var body strings.Builder
	for n := 0; body.Len() < 3500; n++ {
		body.WriteString(sentence(n%2 == 0, n))
		body.WriteString(" https://shop.example.org/path/to?page=3\r\n")
	}
	raw := "Received: from mail.example.net (mail.example.net [192.0.2.7]) by mx.example.org with ESMTPS id 4711 for <user@example.org>; Sun, 22 Nov 2026 10:00:00 +0000\r\n" +
		"DKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=mail; h=from:to:subject:date; bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=" + strings.Repeat("Ab3dEf7h", 40) + "\r\n" +
		"From: =?utf-8?q?Gr=C3=BC=C3=9Fe?= <a@example.net>\r\nTo: <user@example.org>\r\nSubject: Our offers of this week\r\nMessage-ID: <4711.0815@example.net>\r\nDate: Sun, 22 Nov 2026 09:59:58 +0000\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nList-Unsubscribe: <https://example.net/u/1>\r\nX-Mailer: Mailer 3.1\r\n\r\n" + body.String()
	mail := &engine.Mail{Message: message.Parse([]byte(raw), message.Limits{})}
	want, err := m.Inspect(b.Context(), mail)
	if err != nil || len(want) != 2 {
		b.Fatal(want, err)
	}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		hits, err := m.Inspect(b.Context(), mail)
		if err != nil || len(hits) != 2 || hits[0] != want[0] || hits[1] != want[1] {
			b.Fatal(hits, err)
		}
	}
}
