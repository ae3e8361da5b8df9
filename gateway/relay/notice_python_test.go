package relay

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/queue"
)

// reader takes a notification apart with Python's email package, and prints what it finds. It knows nothing of how we write them.
const reader = `
import sys, re, json, email, email.policy, email.parser, email.utils
raw = sys.stdin.buffer.read()
m = email.message_from_string(raw.decode("utf-8"), policy=email.policy.SMTPUTF8)
def defects(p):
    found = [str(d) for d in p.defects] + [str(d) for v in p.values() for d in v.defects]
    if p.is_multipart():
        for q in p.get_payload(): found += defects(q)
    return found
boundary = m.get_param("boundary").encode()
pieces = raw.split(b"\r\n--" + boundary)
def fields(text):
    h = email.parser.BytesHeaderParser(policy=email.policy.SMTPUTF8).parsebytes(text)
    return [[k, str(v)] for k, v in h.items()]
bodies = [p.split(b"\r\n\r\n", 1)[1] for p in pieces[1:-1]]
status = [fields(g + b"\r\n\r\n") for g in bodies[1].strip(b"\r\n").split(b"\r\n\r\n")]
dates = [m["Date"].datetime.timestamp()] + [email.utils.parsedate_to_datetime(v).timestamp() for g in status for k, v in g if k.endswith("Date") or k.endswith("Until")]
print(json.dumps({
    "type": m.get_content_type(), "report": m.get_param("report-type"), "parts": [p.get_content_type() for p in m.get_payload()],
    "status": status, "header": fields(bodies[2]) if len(bodies) > 2 else None, "dates": dates[1:],
    "from": m["From"].addresses[0].addr_spec, "to": m["To"].addresses[0].addr_spec, "subject": str(m["Subject"]), "auto": str(m["Auto-Submitted"]),
    "text": m.get_payload()[0].get_content(), "longest": max(len(l) for l in raw.split(b"\r\n")), "bare": len(re.findall(rb"(?<!\r)\n|\r(?!\n)", raw)),
    "eight": any(b > 127 for b in raw), "declared": [str(p.get("Content-Transfer-Encoding")) for p in [m] + m.get_payload()],
    "defects": defects(m)}))
`

type reading struct {
	Type, Report, From, To, Subject, Auto, Text string
	Parts, Declared, Defects                    []string
	Status                                      [][][2]string
	Header                                      [][2]string
	Dates                                       []float64
	Longest, Bare                               int
	Eight                                       bool
}

// Another reader of mail finds in notifications what they are to say.
func TestNoticeInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: python3 is not installed; its email package was to read the notification")
	}
	expires := time.Unix(1700691200, 0).UTC()
	header := "Received: from a by b\r\n\twith c; Tue, 14 Nov 2023 22:13:20 +0000\r\nX-SpamCatcher-Score: 7\r\nSubject: An =?utf-8?q?gr=C3=B6?=\r\n ßer offer\r\n\r\ntext\r\n"
	for _, c := range []struct {
		name   string
		kind   queue.NoticeKind
		sender string
		utf8   bool
		about  []queue.Recipient
		want   reading
	}{
		{"failed", queue.NoticeFailed, "a@example.com", false, []queue.Recipient{failure("b@example.org", "550 5.1.1 User unknown"), failure("jürgen@example.org", "554 5.4.7 delivery time expired; last reply: 450 4.2.0 busy")},
			reading{Subject: "Undelivered mail returned to sender", Parts: []string{"text/plain", "message/delivery-status", "text/rfc822-headers"},
				Status: [][][2]string{{{"Reporting-MTA", "dns; gate.example.net"}, {"Arrival-Date", "Tue, 14 Nov 2023 22:13:20 +0000"}},
					{{"Final-Recipient", "rfc822; b@example.org"}, {"Action", "failed"}, {"Status", "5.1.1"}, {"Diagnostic-Code", "smtp; 550 5.1.1 User unknown"}, {"Last-Attempt-Date", "Tue, 14 Nov 2023 22:21:40 +0000"}},
					{{"Final-Recipient", `utf-8; j\x{FC}rgen@example.org`}, {"Action", "failed"}, {"Status", "4.4.7"}, {"Diagnostic-Code", "smtp; 450 4.2.0"}, {"Last-Attempt-Date", "Tue, 14 Nov 2023 22:21:40 +0000"}}},
				Header: [][2]string{{"Received", "from a by b\twith c; Tue, 14 Nov 2023 22:13:20 +0000"}, {"Subject", "An grö ?er offer"}},
				Dates:  []float64{1700000000, 1700000500, 1700000500}}},
		{"delayed", queue.NoticeDelayed, `"a b"@example.com`, false, []queue.Recipient{failure("b@example.org", "451 4.4.1 no")},
			reading{Subject: "Delayed mail (still being retried)", Parts: []string{"text/plain", "message/delivery-status", "text/rfc822-headers"},
				Status: [][][2]string{{{"Reporting-MTA", "dns; gate.example.net"}, {"Arrival-Date", "Tue, 14 Nov 2023 22:13:20 +0000"}},
					{{"Final-Recipient", "rfc822; b@example.org"}, {"Action", "delayed"}, {"Status", "4.4.1"}, {"Diagnostic-Code", "smtp; 451 4.4.1 no"}, {"Last-Attempt-Date", "Tue, 14 Nov 2023 22:21:40 +0000"}, {"Will-Retry-Until", "Wed, 22 Nov 2023 22:13:20 +0000"}}},
				Header: [][2]string{{"Received", "from a by b\twith c; Tue, 14 Nov 2023 22:13:20 +0000"}, {"Subject", "An grö ?er offer"}},
				Dates:  []float64{1700000000, 1700000500, 1700691200}}},
		{"global", queue.NoticeFailed, "jörg@example.com", true, []queue.Recipient{failure("jürgen@example.org", "550 5.1.1 User unknown")},
			reading{Subject: "Undelivered mail returned to sender", Parts: []string{"text/plain", "message/global-delivery-status", "message/global-headers"}, Eight: true,
				Status: [][][2]string{{{"Reporting-MTA", "dns; gate.example.net"}, {"Arrival-Date", "Tue, 14 Nov 2023 22:13:20 +0000"}},
					{{"Final-Recipient", "utf-8; jürgen@example.org"}, {"Action", "failed"}, {"Status", "5.1.1"}, {"Diagnostic-Code", "smtp; 550 5.1.1 User unknown"}, {"Last-Attempt-Date", "Tue, 14 Nov 2023 22:21:40 +0000"}}},
				Header: [][2]string{{"Received", "from a by b\twith c; Tue, 14 Nov 2023 22:13:20 +0000"}, {"Subject", "An grö ßer offer"}},
				Dates:  []float64{1700000000, 1700000500}}},
	} {
		it := failedItem()
		it.Sender, it.UTF8, it.Expires = c.sender, c.utf8, expires
		d, ok := Notify("gate.example.net")(queue.Notice{Kind: c.kind, Item: it, About: c.about, Body: strings.NewReader(header)})
		if !ok {
			t.Fatalf("%s: no notification", c.name)
		}
		cmd := exec.Command(python, "-c", reader)
		cmd.Stdin = bytes.NewReader(bytes.Join(d.Body, nil))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		var got reading
		if err == nil {
			err = json.Unmarshal(out, &got)
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s\n%s\n%s", c.name, err, stderr.String(), out, bytes.Join(d.Body, nil))
		}
		if c.want.Eight {
			// Python's reader of addresses stops at RFC 5322; RFC 6532 section 3.2 allows this.
			got.Defects = slices.DeleteFunc(got.Defects, func(d string) bool { return d == "local-part contains non-ASCII characters)" })
		}
		if len(got.Defects) > 0 || got.Bare > 0 || got.Longest > 998 || !strings.Contains(got.Text, "This is the mail system at gate.example.net.") {
			t.Errorf("%s: defects %q, %d bare line ends, longest line %d, text %q", c.name, got.Defects, got.Bare, got.Longest, got.Text)
		}
		for _, encoding := range got.Declared {
			if (encoding == "8bit") != c.want.Eight {
				t.Errorf("%s: encodings %q", c.name, got.Declared)
			}
		}
		c.want.Type, c.want.Report, c.want.From, c.want.To, c.want.Auto = "multipart/report", "delivery-status", "MAILER-DAEMON@gate.example.net", c.sender, "auto-replied"
		got.Text, got.Longest, got.Declared, got.Defects = "", 0, nil, nil
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: Python reads\n%+v\nwant\n%+v", c.name, got, c.want)
		}
	}
}
