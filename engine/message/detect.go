package message

import (
	"bytes"
	"encoding/binary"
)

// A magic is a sequence of bytes at an offset that tells a media type.
type magic struct {
	at    int
	bytes string
	kind  string
}

// magics are tried in order.
var magics = []magic{
	{0, "%PDF-", "application/pdf"},
	{0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"},
	{0, "\x7fELF", "application/x-elf"},
	{0, "Rar!\x1a\x07", "application/vnd.rar"},
	{0, "7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"},
	{0, "\x1f\x8b", "application/gzip"},
	{0, "BZh", "application/x-bzip2"},
	{0, "\xfd7zXZ\x00", "application/x-xz"},
	{0, "\x28\xb5\x2f\xfd", "application/zstd"},
	{0, "\x1f\x9d", "application/x-compress"},
	{0, "\x1f\xa0", "application/x-compress"},
	{0, "MSCF\x00\x00\x00\x00", "application/vnd.ms-cab-compressed"},
	{0, "MSWIM\x00\x00\x00", "application/x-wim"},
	{0, "\x60\xea", "application/x-arj"},
	{2, "-lh", "application/x-lzh"},
	{7, "**ACE**", "application/x-ace"},
	{257, "ustar", "application/x-tar"},
	{0x8001, "CD001", typeISO},
	{0x8001, "BEA01", typeISO},
	{0, "conectix", "application/x-vhd"},
	{0, "vhdxfile", "application/x-vhd"},
	{0, "L\x00\x00\x00\x01\x14\x02\x00", typeLink},
	{0, "\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", typeOneNote},
	{0, "ITSF", "application/vnd.ms-htmlhelp"},
	{0, "{\\rt", "application/rtf"},
	{0, "\x89PNG\r\n\x1a\n", "image/png"},
	{0, "\xff\xd8\xff", "image/jpeg"},
	{0, "GIF8", "image/gif"},
	{0, "BM", "image/bmp"},
	{0, "II*\x00", "image/tiff"},
	{0, "MM\x00*", "image/tiff"},
	{8, "WEBP", "image/webp"},
	{0, "\x00\x00\x01\x00", "image/x-icon"},
	{0, "%!PS", "application/postscript"},
	{0, "FWS", "application/x-shockwave-flash"},
	{0, "CWS", "application/x-shockwave-flash"},
	{0, "\xca\xfe\xba\xbe", "application/java-vm"},
	{0, "dex\n03", "application/x-dex"},
	{0, "\xcf\xfa\xed\xfe", "application/x-mach-binary"},
	{0, "\xce\xfa\xed\xfe", "application/x-mach-binary"},
	{0, "\x00asm", "application/wasm"},
	{0, "\x78\x9f\x3e\x22", "application/ms-tnef"},
	{0, "ID3", "audio/mpeg"},
	{4, "ftyp", "video/mp4"},
	{0, "OggS", "audio/ogg"},
	{8, "WAVE", "audio/wav"},
	{8, "AVI ", "video/x-msvideo"},
	{0, "SQLite format 3\x00", "application/vnd.sqlite3"},
	{0, "-----BEGIN PGP", "application/pgp"},
	{0, "BEGIN:VCALENDAR", "text/calendar"},
	{0, "BEGIN:VCARD", "text/vcard"},
	{0, "#!", typeScript},
	{0, "<?php", typeScript},
	{0, "[InternetShortcut]", "application/x-url"},
}

// Detect tells the media type of content by its first bytes, "" if they tell
// none.
func Detect(b []byte) string {
	if len(b) < 2 {
		return ""
	}
	if b[0] == 'P' && b[1] == 'K' && len(b) > 4 && (b[2] == 3 || b[2] == 5 || b[2] == 1) {
		return detectZip(b)
	}
	if b[0] == 'M' && b[1] == 'Z' {
		if len(b) < 64 || bytes.IndexByte(b[:64], 0) >= 0 {
			return typeExe
		}
		return ""
	}
	for i := range magics {
		m := &magics[i]
		if len(b) >= m.at+len(m.bytes) && b[m.at] == m.bytes[0] && string(b[m.at:m.at+len(m.bytes)]) == m.bytes {
			if m.kind == "image/bmp" && (len(b) < 26 || binary.LittleEndian.Uint32(b[6:]) != 0) {
				continue
			}
			return m.kind
		}
	}
	// A PDF may begin anywhere in its first kilobyte.
	if bytes.Contains(b[:min(len(b), 1024)], []byte("%PDF-")) {
		return "application/pdf"
	}
	return detectText(b)
}

// detectZip tells the formats apart that are zip files: by the names in the
// first local headers and in the directory at the end.
func detectZip(b []byte) string {
	head := b[:min(len(b), 8<<10)]
	tail := b[max(0, len(b)-16<<10):]
	has := func(name string) bool {
		return bytes.Contains(head, []byte(name)) || bytes.Contains(tail, []byte(name))
	}
	if i := bytes.Index(head[:min(len(head), 64)], []byte("mimetype")); i == 30 {
		t := head[38:]
		for _, k := range []string{"application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.spreadsheet", "application/vnd.oasis.opendocument.presentation", "application/epub+zip"} {
			if bytes.HasPrefix(t, []byte(k)) {
				return k
			}
		}
	}
	switch {
	case has("[Content_Types].xml") && has("word/"):
		return typeDocx
	case has("[Content_Types].xml") && has("xl/"):
		return typeXlsx
	case has("[Content_Types].xml") && has("ppt/"):
		return typePptx
	case has("AndroidManifest.xml"):
		return "application/vnd.android.package-archive"
	case has("META-INF/MANIFEST.MF"):
		return "application/java-archive"
	}
	return "application/zip"
}

// detectText looks for the beginnings of formats that are text.
func detectText(b []byte) string {
	head := bytes.TrimPrefix(b[:min(len(b), 1024)], []byte("\xef\xbb\xbf"))
	head = bytes.TrimLeft(head, " \t\r\n")
	lower := asciiLower(string(head))
	prefix := func(list ...string) bool {
		for _, p := range list {
			if len(lower) >= len(p) && lower[:len(p)] == p {
				return true
			}
		}
		return false
	}
	switch {
	case prefix("<!doctype html", "<html", "<head", "<body", "<script", "<meta ", "<iframe"):
		return "text/html"
	case prefix("<svg"), prefix("<?xml", "<!doctype svg") && bytes.Contains([]byte(lower), []byte("<svg")):
		return "image/svg+xml"
	case prefix("<?xml"):
		return "text/xml"
	case prefix("<!--") && bytes.Contains([]byte(lower), []byte("<html")):
		return "text/html"
	case prefix("received:", "return-path:", "mime-version:", "delivered-to:", "x-mozilla-status:"):
		return "message/rfc822"
	case prefix("@echo off", "powershell", "rem ", "on error resume next", "set-executionpolicy"):
		return typeScript
	case prefix("windows registry editor"):
		return typeScript
	}
	return ""
}
