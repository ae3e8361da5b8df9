package message

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
)

func TestDecode(t *testing.T) {
	for _, c := range []struct{ encoding, raw, out string }{
		{"7bit", "a=3D", "a=3D"},
		{"base64", "aGVs\r\nbG8=\r\n", "hello"},
		{"base64", "aGVsbG8", "hello"},
		{"base64", "aGVs!bG8=", "hello"},
		{"base64", "aGVs=bG8=", "hello"},
		{"base64", "aGU=bGxv", "hello"},
		{"base64", "aA==\r\nZQ==", "he"},
		{"base64", "aGVsb", "hel"},
		{"base64", "====", ""},
		{"base64", "", ""},
		{"BASE64", "aGVsbG8=", "hello"},
		{"quoted-printable", "a=3Db=3db", "a=b=b"},
		{"quoted-printable", "a=\r\nb= \t\nc=\rd", "abcd"},
		{"quoted-printable", "a=zz=4", "a=zz=4"},
		{"quoted-printable", "a=", "a"},
		{"x-uuencode", uu("f", "hello, hello, hello, hello, hello, hello, hello"), "hello, hello, hello, hello, hello, hello, hello"},
		{"x-yenc", yenced("f", "hello\x00\xff=\xd6"), "hello\x00\xff=\xd6"},
	} {
		m := Parse([]byte("Content-Type: application/x\r\nContent-Transfer-Encoding: "+c.encoding+"\r\n\r\n"+c.raw), Limits{})
		if got := string(m.Root().Decoded()); got != c.out {
			t.Errorf("%s %q: %q, expected %q", c.encoding, c.raw, got, c.out)
		}
	}
}

func TestTree(t *testing.T) {
	m := Parse([]byte("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\none\r\n--c\r\nContent-Type: TEXT/html; Charset=ISO-8859-1\r\n\r\ntwo\r\n--c--\r\n\r\n"+
		"--b\r\nContent-Type: message/rfc822\r\nContent-Disposition: Inline\r\n\r\nSubject: in\r\n\r\nthree\r\n--b\r\nContent-Type: application/zip; name=\"=?utf-8?q?=C3=A9?=.zip\"\r\nContent-Disposition: attachment; filename*=utf-8''%C3%A9.exe\r\n\r\nPK\r\n--b--\r\n"), Limits{})
	var got bytes.Buffer
	for _, p := range m.Parts() {
		fmt.Fprintf(&got, "%d %s %s %q %s %d\n", p.Depth, p.MediaType, p.Charset, p.Name, p.Disposition, len(p.Children))
		if len(p.Children) == 0 {
			fmt.Fprintf(&got, "  %q\n", p.Raw())
		}
	}
	want := `0 multipart/mixed  "" ` + ` 3
1 multipart/alternative  "" ` + ` 2
2 text/plain  "" ` + ` 0
  "one"
2 text/html iso-8859-1 "" ` + ` 0
  "two"
1 message/rfc822  "" inline 1
2 text/plain  "" ` + ` 0
  "three"
1 application/zip  "é.exe" attachment 0
  "PK"
`
	if got.String() != want {
		t.Errorf("%s\nexpected\n%s", got.String(), want)
	}
	var names []string
	for _, a := range m.Attachments() {
		names = append(names, a.Name+" "+a.Extension+" "+a.ByName)
	}
	if want := "[  message/rfc822 é.exe exe application/x-msdownload é.zip zip application/zip]"; len(names) != 3 || fmt.Sprint(names[1:]) != "[é.exe exe application/x-msdownload é.zip zip application/zip]" {
		t.Errorf("attachments %q, expected %s", names, want)
	}
}

func TestDetect(t *testing.T) {
	zip := func(names ...string) string {
		s := ""
		for _, n := range names {
			s += "PK\x03\x04\x14\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + string([]byte{byte(len(n)), 0, 0, 0}) + n
		}
		return s
	}
	for _, c := range []struct{ data, kind string }{
		{"%PDF-1.7", "application/pdf"},
		{"junk\r\n%PDF-1.4", "application/pdf"},
		{"MZ\x90\x00\x03\x00", typeExe},
		{"MZ is a country code for Mozambique, and this is a text about it and other countries.", ""},
		{"\x7fELF\x02", "application/x-elf"},
		{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"},
		{zip("a.txt"), "application/zip"},
		{zip("[Content_Types].xml", "word/document.xml"), typeDocx},
		{zip("[Content_Types].xml", "xl/workbook.xml"), typeXlsx},
		{zip("META-INF/MANIFEST.MF"), "application/java-archive"},
		{"Rar!\x1a\x07\x00", "application/vnd.rar"},
		{"\x1f\x8b\x08", "application/gzip"},
		{"{\\rtf1", "application/rtf"},
		{" \r\n<!DOCTYPE HTML>", "text/html"},
		{"\xef\xbb\xbf<html>", "text/html"},
		{"<?xml version='1.0'?><svg>", "image/svg+xml"},
		{"<?xml version='1.0'?><a>", "text/xml"},
		{"L\x00\x00\x00\x01\x14\x02\x00", typeLink},
		{"BEGIN:VCALENDAR", "text/calendar"},
		{"#!/bin/sh", typeScript},
		{"Received: from x", "message/rfc822"},
		{"\x89PNG\r\n\x1a\n", "image/png"},
		{"GIF89a", "image/gif"},
		{"BM is no bitmap by itself, really not at all", ""},
		{"hello", ""},
		{"", ""},
	} {
		if got := Detect([]byte(c.data)); got != c.kind {
			t.Errorf("%q: %q, expected %q", c.data, got, c.kind)
		}
	}
}

// Any number of goroutines may ask for any view at any time.
func TestConcurrent(t *testing.T) {
	for _, tw := range twists[:min(len(twists), 200)] {
		s := plainShape()
		tw.apply(&s)
		m := Parse([]byte(s.String()), Limits{})
		want := touch(Parse([]byte(s.String()), Limits{}))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if got := touch(m); got != want {
					t.Errorf("%s: views add up to %d, expected %d", tw.name, got, want)
				}
			})
		}
		wg.Wait()
	}
}
