package unpack

import (
	"slices"
	"strings"
	"testing"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// TestMailAnyhow: a message that is a file is read whatever its header looks like,
// where programs would read it.
func TestMailAnyhow(t *testing.T) {
	letter := string(written("see attachment", unpacktest.Attached("application/octet-stream", unpacktest.File{Name: "a.zip", Data: unpacktest.Zip(unpacktest.Deflated, payload)})))
	entity := letter[strings.Index(letter, "MIME-Version"):]
	fields := ""
	for i := range 40 {
		fields += "X-Field-" + string(rune('a'+i%26)) + ": of no meaning\r\n"
	}
	zipped := func(name, text string) []byte {
		return written("see attachment", unpacktest.Attached("application/zip", unpacktest.File{Name: "z.zip", Data: unpacktest.Zip(unpacktest.Deflated, unpacktest.File{Name: name, Data: []byte(text)})}))
	}
	attached := func(kind, name, text string) []byte {
		return written("see attachment", unpacktest.Attached(kind, unpacktest.File{Name: name, Data: []byte(text)}))
	}
	headers := map[string]string{
		"other fields":     fields + letter,
		"a folded field":   "X-Field: a\r\n" + strings.Repeat(" and more of it\r\n", 500) + letter,
		"a long line":      "X-Field: " + strings.Repeat("abc ", 1000) + "\r\n" + letter,
		"CR":               strings.ReplaceAll(letter, "\r\n", "\r"),
		"CR, other fields": strings.ReplaceAll(fields+letter, "\r\n", "\r"),
		"LF":               strings.ReplaceAll(fields+letter, "\r\n", "\n"),
		"a mark":           "\xef\xbb\xbf" + letter,
		"empty lines":      "\r\n \r\n\r\n" + letter,
		"a mark and lines": "\xef\xbb\xbf\n\n" + fields + entity,
		"no addresses":     entity,
	}
	for name, text := range headers {
		for where, raw := range map[string][]byte{
			"zip":                 zipped("a.eml", text),
			"zip, no name":        zipped("a", text),
			"attached":            attached("application/octet-stream", "a", text),
			"attached as message": attached("message/rfc822", "a", text),
		} {
			if strings.HasPrefix(name, "CR") && where == "attached as message" {
				continue // the parser of the whole message reads that, and no CR ends its lines
			}
			check(t, name+", "+where, raw, true)
		}
	}
	for name, c := range map[string]struct {
		raw  []byte
		find bool
	}{
		"trusted by its name":      {zipped("a.EML", "X-Field: a\r\n"+fields+"this is no field\r\n"+entity), true},
		"a field like a song":      {zipped("a.eml", "ID3: a\r\n"+letter), true},
		"mht":                      {zipped("a.mht", "\r\n\xef\xbb\xbf"+entity), true},
		"Apple Mail":               {zipped("a.emlx", "1234      \n"+letter+"<?xml version=\"1.0\"?><plist/>"), true},
		"UU behind text":           {attached("application/octet-stream", "a.uue", "Hello,\r\nhere it is.\r\n\r\n"+unpacktest.UU(payload)), true},
		"UU in an archive":         {zipped("a.txt", "Hello,\r\nhere it is.\r\n\r\n"+unpacktest.UU(payload)), true},
		"yEnc behind text":         {attached("application/octet-stream", "a.ntx", "Hello\r\n"+unpacktest.YEnc(payload)), true},
		"a file that looks like X": {attached("application/octet-stream", "a", "X-Field: a\r\nX-Field: b\r\n\r\nwords\r\n"), false},
	} {
		check(t, name, c.raw, c.find)
	}
}

// check walks a message that has the payload in it and nothing remarkable.
func check(t *testing.T, name string, raw []byte, find bool) {
	t.Helper()
	visited, contents, found := walk(t, raw, format.Limits{})
	if slices.Contains(contents, string(payload.Data)) != find {
		t.Errorf("%s: found %v: %q", name, !find, visited)
	}
	if len(found.Marks) > 0 {
		t.Errorf("%s: marks %v", name, found.Marks)
	}
}

// TestMailIsItsText: a file that is read as a message and has only text is not
// taken for one that holds itself.
func TestMailIsItsText(t *testing.T) {
	for name, f := range map[string]unpacktest.File{
		"UU":                {Name: "report.uue", Data: []byte(unpacktest.UU(payload))},
		"UU between text":   {Name: "report.uue", Data: []byte("Hello\r\n\r\n" + unpacktest.UU(payload) + "\r\nbye\r\n")},
		"words about UU":    {Name: "words", Data: []byte("It says\nbegin 644 words\nand no more.\n")},
		"a name only":       {Name: "a.eml", Data: []byte("nothing that is a header\r\n")},
		"a name, and mark":  {Name: "a.mht", Data: []byte("\xef\xbb\xbf\r\nnothing that is a header\r\n")},
		"CR without header": {Name: "a.eml", Data: []byte("nothing that\ris a header\r")},
		"empty":             {Name: "a.eml"},
	} {
		for _, kind := range []string{"application/octet-stream", "text/plain", "message/rfc822", "application/x-uuencode"} {
			visited, contents, found := walk(t, written("see attachment", unpacktest.Attached(kind, f)), format.Limits{})
			if len(found.Marks) > 0 {
				t.Errorf("%s as %s: %v", name, kind, found.Marks)
			}
			if strings.HasPrefix(name, "UU") != slices.Contains(contents, string(payload.Data)) {
				t.Errorf("%s as %s: %q", name, kind, visited)
			}
		}
	}
}

// TestMailNearMiss: what has colons is no message.
func TestMailNearMiss(t *testing.T) {
	for name, text := range map[string]string{
		"a list":         "Apples: 3\r\nPears: 4\r\nMonday: rain\r\n",
		"a log":          strings.Repeat("2026-11-16 10:00:00 from: a to: b\r\n", 2000),
		"a long line":    strings.Repeat("a", 200_000),
		"settings":       "colour: red\nsize: 4\n# comment\nFrom: nowhere\nTo: nowhere\n",
		"a quotation":    "> From: ann@example.net\n> To: bob@example.org\n",
		"begin of words": "we\nbegin 100 years ago\n",
	} {
		f := &format.File{Kind: format.Member, Name: "a.txt", Data: []byte(text)}
		if want := name == "begin of words"; (&mail{}).Reads(f) != want {
			t.Errorf("%s: read as a message is %v", name, !want)
		}
	}
}
