package relay

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"os/exec"
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

func TestBounce(t *testing.T) {
	bounce := Bounce("gate.example.net")
	d, ok := bounce(failedItem(), []queue.Recipient{failure("b@example.org", "550 5.1.1 User unknown"), failure("c@example.org", "451 4.4.1 cannot connect")})
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

func TestNoBounce(t *testing.T) {
	bounce := Bounce("gate.example.net")
	failed := []queue.Recipient{failure("b@example.org", "550 no")}
	for _, sender := range []string{"", "a", "a\r\n@example.com"} {
		it := failedItem()
		it.Sender = sender
		if d, ok := bounce(it, failed); ok {
			t.Errorf("%q was told: %+v", sender, d)
		}
	}
	if _, ok := bounce(failedItem(), nil); ok {
		t.Error("a notification of nothing")
	}
}

// Whatever the server behind says of itself, it does not reach the outside.
func TestBounceNamesNoServer(t *testing.T) {
	secrets := []string{"hidden", "10.9.8.7", "2001:db8", "example.test", "exch01", "mx7"}
	for _, reply := range []string{
		"550 5.1.1 <b@example.org>: Recipient address rejected: User unknown in hidden table", "550 5.7.1 hidden.example.test refuses", "550 [10.9.8.7] says no",
		"554 5.7.1 2001:db8::5 blocked", "550 5.1.1 no such user here - exch01", "550-5.1.1 see http://hidden.example.test/", "550 5.1.10 RESOLVER.ADR.exch01; not found",
		"421 mx7 closing", "550 10.9.8.7", "550 5.1.1 mailbox@hidden.example.test unknown", "500", "5", "", "garbage from hidden", "550 5.9999.1 hidden", "550 4.1.1 hidden",
		"550 5.1.1 b@example.org.hidden", "550 b@example.orghidden",
	} {
		d, ok := Bounce("gate.example.net")(failedItem(), []queue.Recipient{failure("b@example.org", reply)})
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
	for _, reply := range []string{"550 5.1.1 <b@example.org>: Recipient address rejected: User unknown in local recipient table", "552 5.2.2 Mailbox is full", "550 5.7.1 Message rejected as spam"} {
		_, _, _, text := diagnosis(failure("b@example.org", reply))
		if text == "" {
			t.Errorf("%q lost its text", reply)
		}
	}
}

func TestBounceValuesMakeNoLines(t *testing.T) {
	it := failedItem()
	it.Note = map[string]string{"subject": "a\r\nX-Forged: 1\r\n\r\n--boundary", "message-id": "<1@x>\r\nX-Forged: 1", "from": "größer\nX-Forged: 1", "date": strings.Repeat("x", 5000)}
	d, _ := Bounce("gate.example.net")(it, []queue.Recipient{failure("b@example.org\r\nX-Forged: 1", "550 5.1.1 no\r\nX-Forged: 1")})
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

func TestBounceToAnAddressThatNeedsQuotes(t *testing.T) {
	it := failedItem()
	it.Sender = "a>, <b c@example.com"
	d, _ := Bounce("gate.example.net")(it, []queue.Recipient{failure("b@example.org", "550 5.1.1 no")})
	r := parseReport(t, d)
	to, err := r.header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Address != it.Sender {
		t.Errorf("to %v, %v", to, err)
	}
}

func TestBounceInternational(t *testing.T) {
	it := failedItem()
	d, _ := Bounce("gate.example.net")(it, []queue.Recipient{failure("jürgen@example.org", "550 5.6.7 no")})
	r := parseReport(t, d)
	if got := r.groups[1].Get("Final-Recipient"); got != `utf-8; j\x{FC}rgen@example.org` || d.UTF8 {
		t.Errorf("%q, UTF8 %v", got, d.UTF8)
	}
	it.UTF8, it.Sender = true, "jörg@example.com"
	it.Note["subject"] = "größer"
	d, _ = Bounce("gate.example.net")(it, []queue.Recipient{failure("jürgen@example.org", "550 5.6.7 no")})
	r = parseReport(t, d)
	if got := r.groups[1].Get("Final-Recipient"); got != "utf-8; jürgen@example.org" || !d.UTF8 || !d.EightBit || r.types[1] != "message/global-delivery-status" {
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
	} {
		status, code, told, text := diagnosis(failure("b@example.org", reply))
		if got := strings.Join([]string{status, code, told, text}, "|"); got != want {
			t.Errorf("%q: %q, want %q", reply, got, want)
		}
	}
}

// Another reader of mail finds the same in the notification.
func TestBounceInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: python3 is not installed; its email package was to read the notification")
	}
	d, _ := Bounce("gate.example.net")(failedItem(), []queue.Recipient{failure("b@example.org", "550 5.1.1 User unknown"), failure("c@example.org", "552 5.2.2 Mailbox full")})
	cmd := exec.Command(python, "-c", `
import sys, email, email.policy
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.SMTP)
def defects(p):
    return list(p.defects) + [d for v in p.values() for d in v.defects] + [d for q in (p.get_payload() if p.is_multipart() else []) for d in defects(q)]
print(m.get_content_type(), m.get_param("report-type"), len(m.get_payload()))
s = m.get_payload()[1]
for g in s.get_payload():
    print(g.get("Final-Recipient"), g.get("Action"), g.get("Status"), g.get("Diagnostic-Code"))
print(m["To"].addresses[0].addr_spec, m["From"].addresses[0].addr_spec, m["Date"].datetime.isoformat(), defects(m))
`)
	cmd.Stdin = bytes.NewReader(bytes.Join(d.Body, nil))
	out, err := cmd.CombinedOutput()
	want := `multipart/report delivery-status 3
None None None None
rfc822; b@example.org failed 5.1.1 smtp; 550 5.1.1 User unknown
rfc822; c@example.org failed 5.2.2 smtp; 552 5.2.2 Mailbox full
a@example.com MAILER-DAEMON@gate.example.net 2023-11-14T22:21:40+00:00 []
`
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}
