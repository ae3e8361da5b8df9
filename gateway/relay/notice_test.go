package relay

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"reflect"
	"strings"
	"testing"
	"time"

	"spamcatcher/queue"
)

func failure(address, reply string) queue.Recipient {
	return queue.Recipient{Address: address, State: queue.Failed, Reply: reply, Server: "10.9.8.7:25", Changed: time.Unix(1700000500, 0).UTC()}
}

func failedItem() *queue.Item {
	it := item(hello, "b@example.org", "c@example.org")
	it.Received = it.Received.UTC()
	it.Note = map[string]string{"subject": "An offer", "message-id": "<1@example.com>", "from": "Ann <a@example.com>"}
	return it
}

// notify writes the notification of a failure.
func notify(it *queue.Item, failed ...queue.Recipient) (queue.Draft, bool) {
	return Notify("gate.example.net")(queue.Notice{Kind: queue.NoticeFailed, Item: it, About: failed})
}

// report is a notification taken apart.
type report struct {
	header mail.Header
	types  []string
	text   string
	groups []textproto.MIMEHeader // of the delivery status
	last   string
}

func parseReport(t *testing.T, d queue.Draft) report {
	t.Helper()
	raw := bytes.Join(d.Body, nil)
	if rest := bytes.ReplaceAll(raw, []byte("\r\n"), nil); bytes.ContainsAny(rest, "\r\n\x00") || !bytes.HasSuffix(raw, []byte("\r\n")) {
		t.Fatalf("not CRLF lines: %q", raw)
	}
	if !d.UTF8 && !ascii(string(raw)) {
		t.Fatalf("8 bits in %q", raw)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	mediaType, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("content type %q %v %v", mediaType, params, err)
	}
	rep := report{header: m.Header}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		partType, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		rep.types = append(rep.types, partType)
		body, _ := io.ReadAll(p)
		switch {
		case strings.HasSuffix(partType, "delivery-status"):
			for group := range strings.SplitSeq(strings.TrimRight(string(body), "\r\n"), "\r\n\r\n") {
				h, err := textproto.NewReader(bufio.NewReader(strings.NewReader(group + "\r\n\r\n"))).ReadMIMEHeader()
				if err != nil {
					t.Fatalf("group %q: %v", group, err)
				}
				rep.groups = append(rep.groups, h)
			}
		case partType == "text/plain":
			rep.text = string(body)
		default:
			rep.last = string(body)
		}
	}
	return rep
}

func TestNotice(t *testing.T) {
	d, ok := notify(failedItem(), failure("b@example.org", "550 5.1.1 User unknown"), failure("c@example.org", "451 4.4.1 cannot connect"))
	if !ok || d.Sender != "" || !reflect.DeepEqual(d.Recipients, []string{"a@example.com"}) || d.UTF8 || d.EightBit || d.ID == "" {
		t.Fatalf("draft %+v", d)
	}
	r := parseReport(t, d)
	for name, want := range map[string]string{
		"From": "Mail Delivery System <MAILER-DAEMON@gate.example.net>", "To": "<a@example.com>", "Auto-Submitted": "auto-replied", "Mime-Version": "1.0",
		"Message-Id": "<" + d.ID + "@gate.example.net>", "In-Reply-To": "<1@example.com>", "Date": "Tue, 14 Nov 2023 22:21:40 +0000",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if want := []string{"text/plain", "message/delivery-status", "text/rfc822-headers"}; !reflect.DeepEqual(r.types, want) {
		t.Errorf("parts %q", r.types)
	}
	want := []textproto.MIMEHeader{
		{"Reporting-Mta": {"dns; gate.example.net"}, "Arrival-Date": {"Tue, 14 Nov 2023 22:13:20 +0000"}},
		{"Final-Recipient": {"rfc822; b@example.org"}, "Action": {"failed"}, "Status": {"5.1.1"}, "Diagnostic-Code": {"smtp; 550 5.1.1 User unknown"},
			"Last-Attempt-Date": {"Tue, 14 Nov 2023 22:21:40 +0000"}},
		{"Final-Recipient": {"rfc822; c@example.org"}, "Action": {"failed"}, "Status": {"4.4.7"}, "Diagnostic-Code": {"smtp; 451 4.4.1"},
			"Last-Attempt-Date": {"Tue, 14 Nov 2023 22:21:40 +0000"}},
	}
	if !reflect.DeepEqual(r.groups, want) {
		t.Errorf("status\n%v, want\n%v", r.groups, want)
	}
	if want := "From: Ann <a@example.com>\r\nSubject: An offer\r\nMessage-ID: <1@example.com>\r\n"; r.last != want {
		t.Errorf("headers %q", r.last)
	}
	for _, s := range []string{"<b@example.org>", "There is no such mailbox.", "within the time allowed", "An offer"} {
		if !strings.Contains(r.text, s) {
			t.Errorf("text lacks %q:\n%s", s, r.text)
		}
	}
}

func TestNoNotice(t *testing.T) {
	failed := []queue.Recipient{failure("b@example.org", "550 no")}
	for _, sender := range []string{"", "a", "a\r\n@example.com"} {
		it := failedItem()
		it.Sender = sender
		if d, ok := notify(it, failed...); ok {
			t.Errorf("%q was told: %+v", sender, d)
		}
	}
	if _, ok := notify(failedItem()); ok {
		t.Error("a notification of nothing")
	}
}

// Whatever the server behind says of itself, it does not reach the outside.
func TestNoticeNamesNoServer(t *testing.T) {
	secrets := []string{"hidden", "10.9.8.7", "2001:db8", "example.test", "exch01", "mx7next", "server.local", "system:mail", "mailhost", "org.local"}
	for _, reply := range []string{
		"550 5.1.1 <b@example.org>: Recipient address rejected: User unknown in hidden table", "550 5.7.1 hidden.example.test refuses", "550 [10.9.8.7] says no",
		"554 5.7.1 2001:db8::5 blocked", "550 5.1.1 no such user here - exch01", "550-5.1.1 see http://hidden.example.test/", "550 5.1.10 RESOLVER.ADR.exch01; not found",
		"421 mx7next closing", "550 10.9.8.7", "550 5.1.1 mailbox@hidden.example.test unknown", "500", "5", "", "garbage from hidden", "550 5.9999.1 hidden", "550 4.1.1 hidden",
		"550 5.1.1 b@example.org.hidden", "550 b@example.orghidden",
		"550 5.1.1 unknown user in server.local", "550 5.1.1 system:mail unknown", "550 5.1.1 user unknown mailhost.local.domain.", "550 5.1.1 unknown user b@example.org.local",
	} {
		d, ok := notify(failedItem(), failure("b@example.org", reply))
		if !ok {
			t.Fatal("no notification")
		}
		raw := strings.ToLower(string(bytes.Join(d.Body, nil)))
		for _, s := range secrets {
			if strings.Contains(raw, s) {
				t.Errorf("%q: the notification has %q", reply, s)
			}
		}
		r := parseReport(t, d)
		status := r.groups[1].Get("Status")
		if enhancedCode(status) != status || status[0] == '2' {
			t.Errorf("%q: status %q", reply, status)
		}
	}
	// What everybody's servers say is passed on.
	for _, reply := range []string{"550 5.1.1 <b@example.org>: Recipient address rejected: User unknown in local recipient table", "552 5.2.2 Mailbox is full", "550 5.7.1 Message rejected as spam",
		"550 5.1.1 User unknown. Message rejected: invalid recipient."} {
		if diagnose(failure("b@example.org", reply), false).text == "" {
			t.Errorf("%q lost its text", reply)
		}
	}
}

func TestNoticeValuesMakeNoLines(t *testing.T) {
	it := failedItem()
	it.Note = map[string]string{"subject": "a\r\nX-Forged: 1\r\n\r\n--boundary", "message-id": "<1@x>\r\nX-Forged: 1", "from": "größer\nX-Forged: 1", "date": strings.Repeat("x", 5000)}
	d, _ := notify(it, failure("b@example.org\r\nX-Forged: 1", "550 5.1.1 no\r\nX-Forged: 1"))
	raw := string(bytes.Join(d.Body, nil))
	for line := range strings.SplitSeq(raw, "\r\n") {
		if strings.HasPrefix(line, "X-Forged") || strings.HasPrefix(line, "--boundary") || len(line) > 998 {
			t.Errorf("line %.80q of %d octets", line, len(line))
		}
	}
	parseReport(t, d)
	if _, err := load(strings.NewReader(raw), int64(len(raw))); err != nil {
		t.Error(err)
	}
}

func TestNoticeToAnAddressThatNeedsQuotes(t *testing.T) {
	it := failedItem()
	it.Sender = "a>, <b c@example.com"
	d, _ := notify(it, failure("b@example.org", "550 5.1.1 no"))
	r := parseReport(t, d)
	to, err := r.header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Address != it.Sender {
		t.Errorf("to %v, %v", to, err)
	}
}

func TestNoticeInternational(t *testing.T) {
	it := failedItem()
	d, _ := notify(it, failure("jürgen@example.org", "550 5.6.7 no"))
	r := parseReport(t, d)
	if got := r.groups[1].Get("Final-Recipient"); got != `utf-8; j\x{FC}rgen@example.org` || d.UTF8 {
		t.Errorf("%q, UTF8 %v", got, d.UTF8)
	}
	it.UTF8, it.Sender = true, "jörg@example.com"
	it.Note["subject"] = "größer"
	d, _ = notify(it, failure("jürgen@example.org", "550 5.6.7 no"))
	r = parseReport(t, d)
	if got := r.groups[1].Get("Final-Recipient"); got != "utf-8; jürgen@example.org" || !d.UTF8 || !d.EightBit ||
		r.types[1] != "message/global-delivery-status" || r.types[2] != "message/global-headers" {
		t.Errorf("%q, UTF8 %v, types %q", got, d.UTF8, r.types)
	}
	if !strings.Contains(r.last, "Subject: größer\r\n") {
		t.Errorf("headers %q", r.last)
	}
}

func TestDiagnosis(t *testing.T) {
	for reply, want := range map[string]string{
		"550 5.1.1 user unknown": "5.1.1|550|5.1.1|user unknown", "550 user unknown": "5.0.0|550||user unknown", "550 5.1.1 at mx7": "5.1.1|550|5.1.1|",
		"550": "5.0.0|550||", "": "5.0.0|||", "hidden": "5.0.0|||", "550 4.1.1 mailbox full": "5.0.0|550|4.1.1|mailbox full", "450 4.2.0 mailbox busy at mx7": "4.4.7|450|4.2.0|",
		"554 5.4.7 delivery time expired; last reply: 450 4.2.1 mailbox disabled": "4.4.7|450|4.2.1|mailbox disabled",
		"554 5.4.7 delivery time expired; last reply: no result":                  "4.4.7|||",
		"554 5.4.7 delivery time expired":                                         "4.4.7|||",
		"550 5.4.7 delivery time expired at mx7":                                  "5.4.7|550|5.4.7|",
	} {
		d := diagnose(failure("b@example.org", reply), false)
		if got := strings.Join([]string{d.status, d.code, d.told, d.text}, "|"); got != want {
			t.Errorf("%q: %q, want %q", reply, got, want)
		}
	}
}

func TestDelayNotice(t *testing.T) {
	it := failedItem()
	it.Expires = it.Received.Add(192 * time.Hour)
	waiting := []queue.Recipient{{Address: "b@example.org", State: queue.Deferred, Reply: "451 4.4.1 cannot connect: connection refused", Changed: time.Unix(1700000500, 0).UTC()},
		{Address: "c@example.org"}, {Address: "d@example.org", State: queue.Deferred, Reply: "552 5.2.2 too many recipients", Changed: time.Unix(1700000500, 0).UTC()}}
	d, ok := Notify("gate.example.net")(queue.Notice{Kind: queue.NoticeDelayed, Item: it, About: waiting})
	if !ok || d.Sender != "" || !reflect.DeepEqual(d.Recipients, []string{"a@example.com"}) {
		t.Fatalf("draft %+v", d)
	}
	r := parseReport(t, d)
	if got := r.header.Get("Subject"); got != "Delayed mail (still being retried)" || r.header.Get("Auto-Submitted") != "auto-replied" {
		t.Errorf("subject %q", got)
	}
	// It is written now, though the last attempt was long ago.
	if date, err := r.header.Date(); err != nil || time.Since(date) > time.Hour {
		t.Errorf("date %v, %v", date, err)
	}
	const last, until = "Tue, 14 Nov 2023 22:21:40 +0000", "Wed, 22 Nov 2023 22:13:20 +0000"
	want := []textproto.MIMEHeader{
		{"Reporting-Mta": {"dns; gate.example.net"}, "Arrival-Date": {"Tue, 14 Nov 2023 22:13:20 +0000"}},
		{"Final-Recipient": {"rfc822; b@example.org"}, "Action": {"delayed"}, "Status": {"4.4.1"}, "Diagnostic-Code": {"smtp; 451 4.4.1"}, "Last-Attempt-Date": {last}, "Will-Retry-Until": {until}},
		{"Final-Recipient": {"rfc822; c@example.org"}, "Action": {"delayed"}, "Status": {"4.0.0"}, "Will-Retry-Until": {until}},
		{"Final-Recipient": {"rfc822; d@example.org"}, "Action": {"delayed"}, "Status": {"4.2.2"}, "Diagnostic-Code": {"smtp; 552 5.2.2 too many recipients"}, "Last-Attempt-Date": {last}, "Will-Retry-Until": {until}},
	}
	if !reflect.DeepEqual(r.groups, want) {
		t.Errorf("status\n%v, want\n%v", r.groups, want)
	}
	for _, s := range []string{"<b@example.org>", "has not been delivered yet", "could not be reached", "until " + until, "You need not send it again"} {
		if !strings.Contains(r.text, s) {
			t.Errorf("text lacks %q:\n%s", s, r.text)
		}
	}
	if strings.Contains(r.text, "not be tried again") {
		t.Errorf("text\n%s", r.text)
	}
	it.Sender = ""
	if _, ok := Notify("gate.example.net")(queue.Notice{Kind: queue.NoticeDelayed, Item: it, About: waiting}); ok {
		t.Error("the null sender was told")
	}
}

// The third part is the message's own header: all of it that readers take for header, but nothing of what we found out.
func TestNoticeHasTheHeader(t *testing.T) {
	long := "X-Long: " + strings.Repeat("y", 2000)
	for _, c := range []struct{ name, in, want string }{
		{"whole", "Received: from a by b\r\n\twith c\r\nX-SpamCatcher-Score: 7\r\nX-SPAMCATCHER-Report: A=1,\r\n B=2\r\nSubject: hi\r\n there\r\nTo: b@example.org\r\n\r\nbody: no\r\n",
			"Received: from a by b\r\n\twith c\r\nSubject: hi\r\n there\r\nTo: b@example.org\r\n"},
		{"white space lines", "A: b\r\n \r\n\t\r\n c\r\n\r\nbody: no\r\n", "A: b\r\n c\r\n"},
		{"8 bits", "Subject: größer \xff\r\n\r\n", "Subject: gr??er ?\r\n"},
		{"bare octets", "Subject: a\rX-Forged: 1\r\nB: c\x00d\r\n\r\n", "Subject: a?X-Forged: 1\r\nB: c?d\r\n"},
		{"ends at what is no field", "A: b\r\nthis is text\r\nC: d\r\n\r\n", "A: b\r\n"},
		{"ends at a boundary", "A: b\r\n--x\r\nC: d\r\n\r\n", "A: b\r\n"},
		{"begins with a fold", " x\r\nA: b\r\n\r\n", "A: b\r\n"},
		{"LF", "A: b\nC: d\n\nE: f\n", "A: b\r\nC: d\r\n"},
		{"no body", "A: b\r\n", "A: b\r\n"},
		{"last line without end", "A: b\r\nC: d", "A: b\r\n"},
		{"long line", long + "\r\nA: b\r\n\r\n", long[:990] + "\r\nA: b\r\n"},
		{"empty", "", ""},
		{"no header", "\r\nbody: no\r\n", ""},
		{"no header at all", "body\r\n", ""},
	} {
		it := failedItem()
		it.Note = nil
		d, _ := Notify("gate.example.net")(queue.Notice{Item: it, About: []queue.Recipient{failure("b@example.org", "550 5.1.1 no")}, Body: strings.NewReader(c.in)})
		r := parseReport(t, d)
		if parts := 2 + min(1, len(c.want)); r.last != c.want || len(r.types) != parts {
			t.Errorf("%s: %q, %d parts", c.name, r.last, len(r.types))
		}
	}
	// What cannot be read is told from the note.
	for _, body := range []io.ReadSeeker{nil, failing{}, strings.NewReader("")} {
		d, _ := Notify("gate.example.net")(queue.Notice{Item: failedItem(), About: []queue.Recipient{failure("b@example.org", "550 no")}, Body: body})
		if r := parseReport(t, d); !strings.HasPrefix(r.last, "From: Ann <a@example.com>\r\n") {
			t.Errorf("header %q", r.last)
		}
	}
	// In the global form 8 bits stay, if they are UTF-8.
	it := failedItem()
	it.Sender = "jörg@example.com"
	d, _ := Notify("gate.example.net")(queue.Notice{Item: it, About: []queue.Recipient{failure("b@example.org", "550 no")}, Body: strings.NewReader("Subject: größer \xff\r\n\r\n")})
	if r := parseReport(t, d); r.last != "Subject: größer ?\r\n" || r.types[2] != "message/global-headers" {
		t.Errorf("header %q, parts %q", r.last, r.types)
	}
}

func TestNoticeHeaderIsBounded(t *testing.T) {
	line := "X-Filler: " + strings.Repeat("y", 60) + "\r\n"
	body := strings.NewReader(strings.Repeat(line, 20000) + "\r\n")
	body.Seek(100, io.SeekStart) // wherever somebody left it
	d, _ := Notify("gate.example.net")(queue.Notice{Item: failedItem(), About: []queue.Recipient{failure("b@example.org", "550 no")}, Body: body})
	r := parseReport(t, d)
	if n := len(r.last); n != maxHeader/len(line)*len(line) || r.last != strings.Repeat(line, n/len(line)) {
		t.Errorf("%d octets of header", n)
	}
}

// No value makes a field, a part or a line of its own.
func FuzzNotice(f *testing.F) {
	f.Add("550 5.1.1 no\r\nX: 1", "b@example.org\r\nX: 1", "a@example.com", "s\r\n\r\n--x", "<1@x>\r\nX: 1", "A: b\r\n\r\n", false, false)
	f.Add("451 4.4.1 x", "jürgen@example.org", "jörg@example.com", "größer", "<1@x>", "Subject: größer\r\n\tx\r\n", true, true)
	f.Add("554 5.4.7 delivery time expired; last reply: 450 x", "", "\"a b\"@example.com", "", "", "--=_\r\n: x\r\nContent-Type: text/html\r\n\r\n", true, false)
	f.Fuzz(func(t *testing.T, reply, address, sender, subject, id, header string, utf8, delayed bool) {
		it := &queue.Item{ID: "x", Sender: sender, UTF8: utf8, Received: time.Unix(1700000000, 0), Note: map[string]string{"subject": subject, "message-id": id, "from": subject, "date": id}}
		if delayed {
			it.Expires = it.Received.Add(time.Hour)
		}
		about := []queue.Recipient{failure(address, reply), failure("c@example.org", reply)}
		kind := map[bool]queue.NoticeKind{false: queue.NoticeFailed, true: queue.NoticeDelayed}[delayed]
		d, ok := Notify("gate.example.net")(queue.Notice{Kind: kind, Item: it, About: about, Body: strings.NewReader(header)})
		if !ok {
			if _, _, err := smtpPath(sender); err == nil && sender != "" {
				t.Fatal("no notification")
			}
			return
		}
		r := parseReport(t, d)
		raw := bytes.Join(d.Body, nil)
		for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
			if len(line) > 998 {
				t.Fatalf("line of %d octets", len(line))
			}
		}
		_, params, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
		lines := headerOf(strings.NewReader(header))
		if len(lines) == 0 {
			lines = headerOfNote(it.Note, d.UTF8)
		}
		if n := strings.Count(r.last, "\r\n"); n != len(lines) {
			t.Fatalf("%d lines of header became %d: %q", len(lines), n, r.last)
		}
		if parts := 2 + min(1, len(lines)); len(r.types) != parts || bytes.Count(raw, []byte("\r\n--"+params["boundary"])) != parts+1 {
			t.Fatalf("parts %q", r.types)
		}
		fields := func(h map[string][]string, allowed string) {
			for name, values := range h {
				if len(values) != 1 || !strings.Contains(" "+allowed+" ", " "+name+" ") {
					t.Fatalf("field %s: %q in %q", name, values, raw)
				}
			}
		}
		fields(r.header, "From To Subject Date Message-Id In-Reply-To References Auto-Submitted Mime-Version Content-Type Content-Transfer-Encoding")
		if len(r.groups) != 3 {
			t.Fatalf("%d groups in %q", len(r.groups), raw)
		}
		fields(r.groups[0], "Reporting-Mta Arrival-Date")
		for _, g := range r.groups[1:] {
			fields(g, "Final-Recipient Action Status Diagnostic-Code Last-Attempt-Date Will-Retry-Until")
			status := g.Get("Status")
			if g.Get("Action") != map[bool]string{false: "failed", true: "delayed"}[delayed] || enhancedCode(status) != status || delayed && status[0] != '4' ||
				g.Get("Final-Recipient") == "" {
				t.Fatalf("group %v", g)
			}
		}
	})
}
