package rules

import (
	"strings"
	"unicode"

	"golang.org/x/net/publicsuffix"

	"spamcatcher/engine/message"
)

func attachments(m *evidence) (float64, bool) {
	return float64(len(m.Message.Attachments())), true
}

func countAttachments(want func(*message.Attachment) bool) Fact {
	return func(m *evidence) (float64, bool) {
		n := 0
		list := m.Message.Attachments()
		for i := range list {
			if want(&list[i]) {
				n++
			}
		}
		return float64(n), true
	}
}

var (
	executables = set(`exe scr com pif bat cmd vbs vbe js jse wsf wsh hta cpl msi msp msc jar ps1 psm1 lnk scf inf reg gadget application
		appref-ms iqy slk xll dll sys chm hlp job url website ws sct vb xbap msix appx appxbundle apk diagcab library-ms search-ms settingcontent-ms`)
	documents = set(`pdf doc docx docm xls xlsx xlsm ppt pptx rtf txt csv jpg jpeg png gif bmp tif tiff html htm zip rar mp3 mp4 avi odt ods eml msg invoice`)
	macroDocs = set(`docm xlsm pptm dotm xltm potm ppam xlam xlsb`)
	archives  = set(`zip rar 7z gz tgz tar bz2 xz ace arj cab iso img vhd vhdx z lzh uue r00 udf wim`)
	images    = set(`iso img vhd vhdx udf wim ace daa`)
)

func executableName(a *message.Attachment) bool { return executables[a.Extension] }

// doubleExtension: a name that shows a document's extension before one that
// runs ("report.pdf.exe"), blanks between them or not.
func doubleExtension(a *message.Attachment) bool {
	name := strings.ToLower(strings.TrimSpace(a.Name))
	last := strings.LastIndexByte(name, '.')
	if last <= 0 {
		return false
	}
	ext, rest := strings.TrimSpace(name[last+1:]), strings.TrimRight(name[:last], " _-.")
	i := strings.LastIndexAny(rest, "._")
	if i < 0 {
		return false
	}
	shown := rest[i+1:]
	return documents[shown] && shown != ext && (executables[ext] || images[ext] || (ext == "html" || ext == "htm" || ext == "shtml") && shown != "htm" && shown != "html")
}

// executableContent: what runs on a desktop, whatever its name says.
func executableContent(a *message.Attachment) bool {
	switch a.Detected {
	case "application/x-msdownload", "application/vnd.microsoft.portable-executable", "application/x-dosexec", "application/x-executable",
		"application/x-elf", "application/x-mach-binary", "application/x-ms-shortcut", "application/x-msi":
		return true
	}
	return false
}

func executableDisguised(a *message.Attachment) bool {
	return executableContent(a) && a.Extension != "" && !executables[a.Extension]
}

func macroDocument(a *message.Attachment) bool { return macroDocs[a.Extension] }
func archiveName(a *message.Attachment) bool   { return archives[a.Extension] }
func diskImage(a *message.Attachment) bool     { return images[a.Extension] }

func htmlName(a *message.Attachment) bool {
	switch a.Extension {
	case "html", "htm", "shtml", "xhtml", "xht", "mht", "mhtml", "svg":
		return true
	}
	return false
}

// paddedName: the true extension is pushed out of sight by blanks.
func paddedName(a *message.Attachment) bool {
	run := 0
	for _, r := range a.Name {
		if r == '_' || unicode.IsSpace(r) || r == 0xA0 {
			run++
			if run >= 8 {
				return true
			}
		} else {
			run = 0
		}
	}
	return false
}

// turnedName: bidirectional controls make the name read otherwise.
func turnedName(a *message.Attachment) bool {
	return strings.ContainsAny(a.Name, "\u202E\u202D\u2066\u2067\u2068")
}

// attachmentMismatch: content and name disagree on the kind of thing
// (document, picture, archive, program), not merely on the subtype.
func attachmentMismatch(a *message.Attachment) bool {
	if a.Detected == "" || a.ByName == "" || a.Detected == a.ByName {
		return false
	}
	d, n := kindOf(a.Detected), kindOf(a.ByName)
	return d != "" && n != "" && d != n
}

func kindOf(t string) string {
	switch {
	case strings.HasPrefix(t, "image/"):
		return "picture"
	case t == "application/pdf":
		return "pdf"
	case t == "text/html":
		return "html"
	case strings.HasPrefix(t, "audio/"), strings.HasPrefix(t, "video/"):
		return "media"
	case strings.Contains(t, "dosexec"), strings.Contains(t, "msdownload"), strings.Contains(t, "portable-executable"), strings.Contains(t, "x-elf"):
		return "program"
	case strings.Contains(t, "rar"), strings.Contains(t, "7z"):
		return "archive"
	}
	return ""
}

// attachmentOnly: at least one attachment and fewer than 5 words of text.
func attachmentOnly(m *evidence) (float64, bool) {
	return truth(len(m.Message.Attachments()) > 0 && m.words() < 5), true
}

// attachmentRecipientName: a file name holds a recipient's whole address.
func attachmentRecipientName(m *evidence) (float64, bool) {
	for _, a := range m.Message.Attachments() {
		name := strings.ToLower(a.Name)
		for _, r := range m.recipients() {
			if l := strings.ToLower(localPart(r)); len(l) >= 4 && strings.Contains(name, strings.ToLower(r)) {
				return 1, true
			}
		}
	}
	return 0, len(m.Message.Attachments()) > 0
}

func parts(m *evidence) (float64, bool) {
	n := 0
	for _, p := range m.Message.Parts() {
		if !p.Alternate {
			n++
		}
	}
	return float64(n), true
}

// alternateParts counts readings of the message on which mail readers differ.
func alternateParts(m *evidence) (float64, bool) {
	n := 0
	for _, p := range m.Message.Parts() {
		if p.Alternate {
			n++
		}
	}
	return float64(n), true
}

func defects(m *evidence) (float64, bool) { return float64(len(m.Message.Defects())), true }

// multipartSingle: a multipart/mixed or alternative with one part only.
func multipartSingle(m *evidence) (float64, bool) {
	r := m.Message.Root()
	if r == nil || r.MediaType != "multipart/alternative" {
		return 0, r != nil
	}
	return truth(len(r.Children) == 1), true
}

// messageIDForeign: the Message-ID's domain is neither that of From nor of
// any hop that handled the mail, by registered domain.
func messageIDForeign(m *evidence) (float64, bool) {
	h := m.head()
	f, ok := m.first("From")
	d := messageIDDomain(m)
	if !ok || !strings.Contains(d, ".") {
		return 0, false
	}
	if m.sameOrg(d, f.Domain()) || m.Envelope.Known && m.sameOrg(d, domainPart(m.Envelope.From)) {
		return 0, true
	}
	own := orgDomain(d)
	for _, r := range h.RawValues("Received") {
		if strings.Contains(strings.ToLower(r), own) {
			return 0, true
		}
	}
	for _, r := range h.RawValues("DKIM-Signature") {
		if strings.Contains(strings.ToLower(r), "d="+own) {
			return 0, true
		}
	}
	return 1, true
}

func messageIDDomain(m *evidence) string {
	id := strings.TrimSpace(m.head().Raw("Message-ID"))
	i := strings.LastIndexByte(id, '@')
	if i < 0 {
		return ""
	}
	return strings.ToLower(strings.Trim(id[i+1:], "<>[] \t"))
}

// messageIDMalformed: not one pair of angle brackets around left@right
// without blanks. RFC 5322 section 3.6.4.
func messageIDMalformed(m *evidence) (float64, bool) {
	h := m.head()
	if !h.Has("Message-ID") {
		return 0, false
	}
	id := strings.TrimSpace(h.Raw("Message-ID"))
	if len(id) < 5 || id[0] != '<' || id[len(id)-1] != '>' {
		return 1, true
	}
	id = id[1 : len(id)-1]
	at := strings.LastIndexByte(id, '@')
	return truth(at <= 0 || at == len(id)-1 || strings.ContainsAny(id, " \t<>")), true
}

func messageIDFree(m *evidence) (float64, bool) {
	d := messageIDDomain(m)
	f, ok := m.first("From")
	return truth(freeMail(d) && !m.sameOrg(d, f.Domain())), ok && d != ""
}

// signedByFrom: a DKIM-Signature names the registered domain of From. It is
// not verified here. RFC 6376 section 3.5.
func signedByFrom(m *evidence) (float64, bool) {
	f, ok := m.first("From")
	if !ok {
		return 0, false
	}
	for _, s := range m.head().RawValues("DKIM-Signature") {
		if m.sameOrg(dkimTag(s, "d"), f.Domain()) {
			return 1, true
		}
	}
	return 0, true
}

func dkimTag(s, tag string) string {
	for t := range strings.SplitSeq(s, ";") {
		k, v, ok := strings.Cut(t, "=")
		if ok && strings.TrimSpace(k) == tag {
			return strings.Join(strings.Fields(v), "")
		}
	}
	return ""
}

// freeMailUnsigned: From is of a large provider that signs all it sends, and
// no signature of such a provider is there: one signs for the domains of its
// whole family.
func freeMailUnsigned(m *evidence) (float64, bool) {
	f, ok := m.first("From")
	if !ok || !signers[f.Domain()] {
		return 0, false
	}
	t, ok := writtenAt(m)
	if !ok || t.Year() < 2015 {
		return 0, false
	}
	for _, s := range m.head().RawValues("DKIM-Signature") {
		if d := strings.ToLower(dkimTag(s, "d")); signers[d] || d == "google.com" || m.sameOrg(d, f.Domain()) {
			return 0, true
		}
	}
	return 1, true
}

// unsignedToday: no domain signed the mail, and it is of a year in which
// nearly all mail to the public is signed.
func unsignedToday(m *evidence) (float64, bool) {
	t, ok := writtenAt(m)
	if !ok {
		return 0, false
	}
	return truth(t.Year() >= 2018 && !m.head().Has("DKIM-Signature")), true
}

// brandUnsigned: From is of a company that signs all it sends and writes to
// the public rather than on lists, and no signature of its domain is there.
func brandUnsigned(m *evidence) (float64, bool) {
	f, ok := m.first("From")
	if !ok || !brandSigners[orgLabel(f.Domain())] {
		return 0, ok
	}
	t, ok := writtenAt(m)
	if !ok || t.Year() < 2015 {
		return 0, false
	}
	v, _ := signedByFrom(m)
	return 1 - v, true
}

var brandSigners = set(`paypal fedex ups usps dhl intuit docusign netflix facebookmail instagram linkedin ebay chase bankofamerica wellsfargo citibank
	citi americanexpress hsbc barclays santander coinbase binance dropbox wetransfer spotify booking airbnb walmart costco mcafee norton quickbooks
	icloud applemusic dpd sparkasse postbank commerzbank bradesco itau nubank unicredit bbva`)

// messageIDUnknownSuffix: the Message-ID's domain ends in what is no top-level
// domain, and in no name that private networks use.
func messageIDUnknownSuffix(m *evidence) (float64, bool) {
	d := strings.TrimSuffix(messageIDDomain(m), ".")
	i := strings.LastIndexByte(d, '.')
	if i < 0 || strings.ContainsAny(d, ":%/ ") {
		return 0, false
	}
	last := d[i+1:]
	if last == "" || last[0] >= '0' && last[0] <= '9' || privateSuffixes[last] {
		return 0, true
	}
	_, icann := publicsuffix.PublicSuffix(d)
	return truth(!icann && !strings.Contains(suffixOf(d), ".")), true
}

func suffixOf(d string) string {
	s, _ := publicsuffix.PublicSuffix(d)
	return s
}

var privateSuffixes = set(`local localdomain lan internal intern home corp localhost priv private site prod net0 test example invalid
	domain workgroup dom intra intranet loc localnet arpa onion lokal`)

var signers = set(`gmail.com googlemail.com yahoo.com yahoo.co.uk yahoo.fr yahoo.de ymail.com rocketmail.com aol.com outlook.com hotmail.com live.com msn.com
	hotmail.fr hotmail.co.uk icloud.com me.com mac.com mail.ru inbox.ru list.ru bk.ru yandex.ru yandex.com gmx.de gmx.net gmx.com web.de mail.com protonmail.com proton.me`)

// listConsistent: the mark of a list server that tells the truth about
// itself: List-Id, and List-Unsubscribe or List-Post of the same organisation.
// RFC 2919, RFC 2369.
func listConsistent(m *evidence) (float64, bool) {
	h := m.head()
	id := strings.ToLower(h.Raw("List-Id"))
	if id == "" {
		return 0, false
	}
	if i := strings.LastIndexByte(id, '<'); i >= 0 {
		id = id[i+1:]
	}
	own := orgDomain(strings.Trim(id, "<> \t"))
	others := strings.ToLower(h.Raw("List-Unsubscribe") + h.Raw("List-Post") + h.Raw("List-Help"))
	return truth(strings.Contains(own, ".") && strings.Contains(others, own)), true
}

// unsubscribeOwn: List-Unsubscribe has an https address or mailto in the
// registered domain of From or of an aligned signature.
func unsubscribeOwn(m *evidence) (float64, bool) {
	h := m.head()
	u := strings.ToLower(h.Raw("List-Unsubscribe"))
	f, ok := m.first("From")
	if u == "" || !ok {
		return 0, false
	}
	own := orgDomain(f.Domain())
	return truth(own != "" && strings.Contains(u, own)), true
}
