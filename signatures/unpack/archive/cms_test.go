package archive

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// tlv is an element of definite length.
func tlv(tag byte, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	switch n := len(body); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, body...)
	case n < 1<<16:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body...)
	default:
		return append([]byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}, body...)
	}
}

// open0 is an element whose length is not told.
func open0(tag byte, parts ...[]byte) []byte {
	return append(append([]byte{tag, 0x80}, slices.Concat(parts...)...), 0, 0)
}

func oid(s string) []byte { return tlv(6, []byte(s)) }

// pieces is an octet string of pieces of n bytes, in pieces.
func pieces(data []byte, n int) []byte {
	var all, some []byte
	for i, piece := range slices.Collect(slices.Chunk(data, n)) {
		some = append(some, tlv(4, piece)...)
		if i%3 == 2 {
			all, some = append(all, tlv(0x24, some)...), nil
		}
	}
	return open0(0x24, all, some)
}

// signedData is what openssl makes, without certificate and signature.
func signedData(wrap func(byte, ...[]byte) []byte, kind string, octets []byte) []byte {
	info := wrap(0x30, oid(kind))
	if octets != nil {
		info = wrap(0x30, oid(kind), wrap(0xa0, octets))
	}
	digests := tlv(0x31, tlv(0x30, oid("\x60\x86\x48\x01\x65\x03\x04\x02\x01"), tlv(5)))
	return wrap(0x30, oid(cmsSigned), wrap(0xa0, wrap(0x30, tlv(2, []byte{1}), digests, info, tlv(0xa0, tlv(0x30, bytes.Repeat([]byte{5, 0}, 40))), tlv(0x31))))
}

func TestCMS(t *testing.T) {
	data := text(3000)
	der := signedData(tlv, cmsData, tlv(4, data))
	envelope := tlv(0x30, oid(cmsEnvelope), tlv(0xa0, tlv(0x30, tlv(2, []byte{0}), tlv(0x31, tlv(0x30, data[:100])), tlv(0x30, oid(cmsData), tlv(0x30), tlv(0x80, data)))))
	compressed := tlv(0x30, oid(cmsCompress), tlv(0xa0, tlv(0x30, tlv(2, []byte{0}), tlv(0x30, oid(smimeType+"\x03\x08")), tlv(0x30, oid(cmsData), tlv(0xa0, tlv(4, unpacktest.Zlib(data)))))))
	bare := tlv(0x30, tlv(2, []byte{1}), tlv(0x31), tlv(0x30, oid(cmsData), tlv(0xa0, tlv(4, data))), tlv(0x31))
	lines := []byte(unpacktest.Base64(der))
	pem := func(name string) []byte {
		return slices.Concat([]byte("\r\n-----BEGIN "+name+"-----\r\n"), lines, []byte("-----END "+name+"-----\r\n"))
	}
	certificate := tlv(0x30, tlv(0x30, tlv(0xa0, tlv(2, []byte{2})), tlv(2, []byte{1}), oid(cmsData), data))
	cases := []struct {
		name, file string
		data       []byte
		files      string
		marks      string
	}{
		{"signed", "smime.p7m", der, "smime:3000", ""},
		{"a signed file", `letters\invoice.xml.p7m`, der, "invoice.xml:3000", ""},
		{"lengths not told", "smime.p7m", signedData(open0, cmsData, pieces(data, 700)), "smime:3000", ""},
		{"pieces of one byte", "smime.p7m", signedData(tlv, cmsData, pieces(data, 1)), "smime:3000", ""},
		{"pieces, length told", "smime.p7m", signedData(tlv, cmsData, tlv(0x24, tlv(4, data[:9]), tlv(4), tlv(4, data[9:]))), "smime:3000", ""},
		{"no inner tag", "a.p7m", signedData(tlv, cmsData, data), "a:3000", ""},
		{"base64", "a.txt.p7m", lines, "a.txt:3000", ""},
		{"PEM", "a.txt.p7m", pem("PKCS7"), "a.txt:3000", ""},
		{"PEM of CMS", "a.txt.p7m", pem("CMS"), "a.txt:3000", ""},
		{"signed twice", "a.p7m", signedData(tlv, cmsData, tlv(4, der)), fmt.Sprintf("a:%d a:3000", len(der)), ""},
		{"signed in signed", "a.p7m", signedData(tlv, cmsSigned, tlv(4, bare)), "a:3000", ""},
		{"signed in signed with its type", "a.p7m", signedData(tlv, cmsSigned, tlv(4, der)), "a:3000", ""},
		{"compressed", "smime.p7z", compressed, "smime:3000", ""},
		{"enveloped", "smime.p7m", envelope, "", format.Encrypted},
		{"enveloped in signed", "smime.p7m", signedData(tlv, cmsData, tlv(4, envelope)), fmt.Sprintf("smime:%d", len(envelope)), format.Encrypted},
		{"a signature", "smime.p7s", signedData(tlv, cmsData, nil), "", ""},
		{"a signature, lengths not told", "smime.p7s", signedData(open0, cmsData, nil), "", ""},
		{"a signature that breaks off", "smime.p7s", signedData(open0, cmsData, nil)[:80], "", ""},
		{"a signed program's", "a.p7x", signedData(tlv, spcContent, tlv(0x30, data)), "", ""},
		{"broken off", "a.p7m", der[:1500], fmt.Sprintf("a:%d", 1500-bytes.Index(der, data[:50])), format.Damaged},
		{"broken off, lengths not told", "a.p7m", signedData(open0, cmsData, pieces(data, 700))[:1500], "a:1430", format.Damaged},
		{"a certificate", "a.cer", certificate, "", ""},
		{"a certificate in PEM", "a.pem", slices.Concat([]byte("-----BEGIN CERTIFICATE-----\n"), []byte(unpacktest.Base64(certificate)), []byte("-----END CERTIFICATE-----\n")), "", ""},
		{"words", "a.txt", []byte("MIIis a word in no language, and CMS the name of programs\r\n"), "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := unpacked(t, format.Limits{}, c.file, c.data)
			if o.names() != c.files || o.kinds() != c.marks {
				t.Fatalf("files %q, want %q; marks %v, want %q", o.names(), c.files, o.marks, c.marks)
			}
			if last := o.files[len(o.files)-1]; c.marks == "" && c.files != "" && !bytes.Equal(last.Data, data) {
				t.Error("not what was signed")
			}
		})
	}
}

// TestCMSOpenSSL reads what openssl writes.
func TestCMSOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("SKIPPED: there is no openssl here")
	}
	dir := t.TempDir()
	data := text(100_000)
	if err := os.WriteFile(filepath.Join(dir, "in"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args string) {
		cmd := exec.Command(openssl, strings.Fields(args)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", args, err, out)
		}
	}
	run("req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 9 -subj /CN=ann@example.com")
	for args, want := range map[string]string{
		"cms -sign -nodetach -binary -in in -signer cert -inkey key -outform DER -out out":         "signed",
		"cms -sign -nodetach -binary -stream -in in -signer cert -inkey key -outform DER -out out": "signed",
		"cms -sign -nodetach -binary -in in -signer cert -inkey key -outform PEM -out out":         "signed",
		"smime -sign -nodetach -binary -in in -signer cert -inkey key -outform PEM -out out":       "signed",
		"cms -sign -binary -in in -signer cert -inkey key -outform DER -out out":                   "",
		"crl2pkcs7 -nocrl -certfile cert -outform DER -out out":                                    "",
		"cms -encrypt -binary -in in -outform DER -out out cert":                                   format.Encrypted,
		"cms -encrypt -aes-256-gcm -stream -binary -in in -outform DER -out out cert":              format.Encrypted,
		"cms -digest_create -binary -nodetach -in in -outform DER -out out":                        "signed",
		"cms -data_create -binary -nodetach -in in -outform DER -out out":                          "signed",
	} {
		run(args)
		b, err := os.ReadFile(filepath.Join(dir, "out"))
		if err != nil {
			t.Fatal(err)
		}
		o := unpacked(t, format.Limits{}, "smime.p7m", b)
		found := len(o.files) > 1 && bytes.Equal(o.files[1].Data, data)
		if found != (want == "signed") || o.kinds() != strings.TrimPrefix(want, "signed") || !found && len(o.files) > 1 {
			t.Errorf("%s: found %v, files %q, marks %v", args, found, o.names(), o.marks)
		}
	}
}

// TestCMSBomb: what nests or repeats without end takes no time.
func TestCMSBomb(t *testing.T) {
	head := slices.Concat([]byte{0x30, 0x80}, oid(cmsSigned), []byte{0xa0, 0x80, 0x30, 0x80, 2, 1, 1, 0x31, 0, 0x30, 0x80}, oid(cmsData), []byte{0xa0, 0x80})
	for name, body := range map[string][]byte{
		"strings in strings": bytes.Repeat([]byte{0x24, 0x80}, 4<<20),
		"empty strings":      append([]byte{0x24, 0x80}, bytes.Repeat([]byte{4, 0}, 4<<20)...),
		"lengths":            append([]byte{0x24, 0x80}, bytes.Repeat([]byte{4, 0x84, 0xff, 0xff, 0xff, 0xff}, 1<<20)...),
	} {
		b := slices.Concat(head, body)
		var marks []format.Mark
		if got := allocated(func() { marks = open(t, b, format.Limits{Time: 2 * time.Second}, nil, cms{}).marks }); got > 24<<20 {
			t.Errorf("%s: %d KiB", name, got>>10)
		}
		if len(marks) == 0 || marks[0].Kind != format.Damaged {
			t.Errorf("%s: %v", name, marks)
		}
	}
}

func FuzzCMS(f *testing.F) {
	data := text(300)
	f.Add(signedData(tlv, cmsData, tlv(4, data)))
	f.Add(signedData(open0, cmsSigned, pieces(signedData(tlv, cmsData, tlv(4, data)), 50)))
	f.Add([]byte(base64.StdEncoding.EncodeToString(signedData(tlv, cmsData, tlv(4, data)))))
	fuzz(f, cms{})
}
