package unpack

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"spamcatcher/engine/message"
	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// walk lists what is visited, and what else is found.
func walk(t testing.TB, raw []byte, l format.Limits) (visited []string, contents []string, found Found) {
	t.Helper()
	found = Walk(context.Background(), message.Parse(raw, message.Limits{}), l, func(f *format.File) error {
		visited = append(visited, fmt.Sprintf("%s %s", f.Kind, f.Path()))
		contents = append(contents, string(f.Data))
		return nil
	})
	for _, err := range found.Faults {
		t.Error(err)
	}
	return visited, contents, found
}

func written(text string, parts ...unpacktest.Part) []byte {
	return unpacktest.Letter{Text: text, Parts: parts}.Bytes()
}

var payload = unpacktest.File{Name: "payload.js", Data: []byte("the payload itself, in so many words")}

// TestWalk finds a file wherever it lies.
func TestWalk(t *testing.T) {
	zip := func(f unpacktest.File) unpacktest.File {
		return unpacktest.File{Name: "a.zip", Data: unpacktest.Zip(unpacktest.Deflated, f)}
	}
	attached := func(kind string, f unpacktest.File) []byte {
		return written("see attachment", unpacktest.Attached(kind, f))
	}
	inner := attached("application/zip", zip(payload))
	second := strings.Replace("From ann@example.net Mon Nov 16 10:00:00 2026\n"+string(written("nothing"))+"\nFrom bob@example.net Mon Nov 16 11:00:00 2026\n"+string(inner), "\r\n", "\n", -1)
	cases := map[string][]byte{
		"plain":                    attached("application/javascript", payload),
		"zip":                      inner,
		"zip by another type":      attached("image/png", zip(payload)),
		"zip of zip":               attached("application/zip", zip(zip(payload))),
		"mail":                     written("fwd", unpacktest.Part{Head: "Content-Type: message/rfc822\r\n", Body: string(inner)}),
		"mail as a file":           attached("application/octet-stream", unpacktest.File{Name: "a.eml", Data: inner}),
		"mail in zip":              attached("application/zip", zip(unpacktest.File{Name: "a.eml", Data: inner})),
		"mail in base64":           written("fwd", unpacktest.Part{Head: "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n", Body: unpacktest.Base64(inner)}),
		"mailbox":                  attached("application/mbox", unpacktest.File{Name: "a.mbox", Data: []byte(second)}),
		"entity":                   attached("text/plain", unpacktest.File{Name: "a.txt", Data: []byte("Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + unpacktest.Base64(payload.Data))}),
		"uuencode in an image":     attached("image/png", unpacktest.File{Name: "a.png", Data: []byte(unpacktest.UU(payload))}),
		"locked, password in text": written("Hello,\r\nthe password is: Tulip77\r\n", unpacktest.Attached("application/zip", unpacktest.File{Name: "a.zip", Data: unpacktest.ZipLocked("Tulip77", true, payload)})),
		"locked, password within":  attached("application/zip", zip(unpacktest.File{Name: "a.eml", Data: written("Passwort: Tulpe", unpacktest.Attached("application/zip", unpacktest.File{Name: "b.zip", Data: unpacktest.ZipLocked("Tulpe", false, payload)}))})),
	}
	for name, raw := range cases {
		t.Run(name, func(t *testing.T) {
			visited, contents, found := walk(t, raw, format.Limits{})
			inside := slices.IndexFunc(visited, func(s string) bool { return strings.Contains(s, "/") })
			if whole := slices.Index(visited, "mail "); whole < 0 || inside >= 0 && inside < whole {
				t.Errorf("the message itself is not visited before something is opened: %q", visited)
			}
			if !slices.Contains(contents, string(payload.Data)) {
				t.Errorf("not found: %q, %v", visited, found.Marks)
			}
			if locked := strings.HasPrefix(name, "locked"); (len(found.Marks) == 1 && found.Marks[0].Kind == format.Unlocked) != locked || len(found.Marks) > 1 {
				t.Errorf("marks %v", found.Marks)
			}
		})
	}
}

// TestWalkOpenly: what lies openly is visited before the first file is opened, the
// small before the large and all of it at last, whatever the time is; and what a reading shows twice is visited once.
func TestWalkOpenly(t *testing.T) {
	bomb := unpacktest.Attached("application/zip", unpacktest.File{Name: "bomb.zip", Data: unpacktest.Zip(unpacktest.Stored, unpacktest.File{Name: "1", Data: []byte("1")}, unpacktest.File{Name: "2", Data: []byte("2")}, unpacktest.File{Name: "3", Data: []byte("3")})})
	twice := unpacktest.Attached("application/octet-stream", payload)
	visited, _, found := walk(t, written("text", bomb, twice, twice), format.Limits{Members: 2})
	want := []string{"part ", "part payload.js", "part bomb.zip", "mail ", "member bomb.zip/1", "member bomb.zip/2"}
	if !slices.Equal(visited, want) || len(found.Marks) != 1 || found.Marks[0].Kind != format.LimitMembers || found.Files != 3 {
		t.Errorf("%q, %v, %d files", visited, found.Marks, found.Files)
	}
	if visited, _, _ := walk(t, written("text", bomb, twice), format.Limits{Time: 1}); !slices.Equal(visited, want[:4]) {
		t.Errorf("without time: %q", visited)
	}
}

// TestWalkHiddenHeader: the header of a mail that is encoded is visited.
func TestWalkHiddenHeader(t *testing.T) {
	inner := "Subject: a rare word\r\nFrom: ann@example.net\r\n\r\ntext\r\n"
	_, contents, _ := walk(t, written("fwd", unpacktest.Part{Head: "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n", Body: unpacktest.Base64([]byte(inner))}), format.Limits{})
	if !slices.ContainsFunc(contents, func(s string) bool { return strings.Contains(s, "a rare word") }) {
		t.Errorf("%q", contents)
	}
}

func TestPasswords(t *testing.T) {
	for text, want := range map[string]string{
		"password: 1234":                                    "1234",
		"Password for the archive: Spring-2026!":            "Spring-2026",
		"The archive password is swordfish.":                "swordfish",
		"The password to open the file is \"blue moon\".":   "blue moon",
		"Archive password - 55821":                          "55821",
		"pwd=Qx9":                                           "Qx9",
		"Pass: 2026":                                        "2026",
		"PIN 4711":                                          "4711",
		"Use code 9913 to open it":                          "9913",
		"Das Passwort lautet Regenbogen7, bitte löschen":    "Regenbogen7",
		"Kennwort: geheim":                                  "geheim",
		"Passwort: \r\n\r\n   geheim2":                      "geheim2",
		"Mot de passe : soleil":                             "soleil",
		"Le mot de passe est soleil3":                       "soleil3",
		"La contraseña es verano8":                          "verano8",
		"Contraseña: verano":                                "verano",
		"A senha é praia22":                                 "praia22",
		"Hasło: lato":                                       "lato",
		"Пароль: зима12":                                    "зима12",
		"Код 8841":                                          "8841",
		"密码：8866":                                           "8866",
		"解压码: abc":                                          "abc",
		"パスワード：haru":                                        "haru",
		"비밀번호: bom1":                                        "bom1",
		"Şifre: yaz5":                                       "yaz5",
		"Wachtwoord: zomer":                                 "zomer",
		"Password: *tulip*":                                 "tulip",
		"Use <b>this</b>. Password is [ab12]":               "ab12",
		"nothing of the kind, only a passport: X and words": "",
	} {
		raw := "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text + "\r\n"
		got := passwords(message.Parse([]byte(raw), message.Limits{}))
		if want == "" && len(got) > 0 || want != "" && !slices.Contains(got, want) {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
		if len(got) > maxPasswords {
			t.Errorf("%d words", len(got))
		}
	}
	named := unpacktest.Attached("application/zip", unpacktest.File{Name: "invoice_pass_7788.zip", Data: payload.Data})
	if got := passwords(message.Parse(written("hello", named), message.Limits{})); !slices.Contains(got, "7788") {
		t.Errorf("the name gives %q", got)
	}
}

// BenchmarkWalkText is a message with nothing to open.
func BenchmarkWalkText(b *testing.B) {
	html := unpacktest.Part{Head: "Content-Type: text/html\r\n", Body: strings.Repeat("<p>some words of text.</p>\r\n", 200)}
	m := message.Parse(written(strings.Repeat("some words of text. ", 200), html), message.Limits{})
	visit := func(*format.File) error { return nil }
	b.ReportAllocs()
	for b.Loop() {
		if found := Walk(context.Background(), m, format.Limits{}, visit); len(found.Marks) > 0 {
			b.Fatal(found.Marks)
		}
	}
}

// FuzzWalk: any message ends within its limits and without a fault.
func FuzzWalk(f *testing.F) {
	f.Add(written("password: 1", unpacktest.Attached("application/zip", unpacktest.File{Name: "a.zip", Data: unpacktest.ZipLocked("1", false, payload)})))
	f.Add([]byte("From a\nFrom: a\nSubject: b\n\nFrom b\n\nFrom c\nContent-Type: message/rfc822\n\nFrom: x\nTo: y\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<20 {
			return
		}
		walk(t, raw, format.Limits{Depth: 4, Members: 100, MemberBytes: 1 << 20, Bytes: 4 << 20})
	})
}
