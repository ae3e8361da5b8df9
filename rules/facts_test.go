package rules

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

const absent = -1000 // no fact has this value

// factCase is one message and the value that a fact must have for it. A
// message without an empty line is a header with the body "hello".
type factCase struct {
	fact, raw string
	want      float64
	session   func(*engine.Mail)
}

func arrived(at string) func(*engine.Mail) {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		panic(err)
	}
	return func(m *engine.Mail) { m.Session.Time = t }
}

func client(addr, ptr, hello, from string, to ...string) func(*engine.Mail) {
	return func(m *engine.Mail) {
		m.Session.Client = netip.MustParseAddr(addr)
		m.Session.PTR, m.Session.Hello = ptr, hello
		m.Envelope = engine.Envelope{Known: true, From: from, To: to}
	}
}

func factMail(c factCase) *evidence {
	raw := c.raw
	if !strings.Contains(raw, "\n\n") {
		raw += "\n\nhello\n"
	}
	m := &engine.Mail{Message: message.Parse([]byte(strings.ReplaceAll(raw, "\n", "\r\n")), message.Limits{})}
	if c.session != nil {
		c.session(m)
	}
	e := &evidence{}
	e.begin(m)
	return e
}

// html makes a message of one HTML part, alternative one of a plain and an
// HTML part, file one that carries a file.
func html(s string) string {
	return "From: a@example.com\nTo: jane@example.net\nSubject: x\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n" + s + "\n"
}

func plain(s string) string {
	return "From: a@example.com\nTo: jane@example.net\nSubject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n" + s + "\n"
}

func alternative(text, page string) string {
	return "From: a@example.com\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n" + text +
		"\n--b\nContent-Type: text/html\n\n" + page + "\n--b--\n"
}

func file(name, kind, content string) string {
	return "From: a@example.com\nTo: jane@example.net\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nHello Jane, here it is, as promised.\n--b\nContent-Type: " +
		kind + "\nContent-Disposition: attachment; filename=\"" + name + "\"\n\n" + content + "\n--b--\n"
}

const dkim = "DKIM-Signature: v=1; a=rsa-sha256; d=%; s=k; h=from; bh=aa; b=bb\n"

func signed(domain string) string { return strings.ReplaceAll(dkim, "%", domain) }

const in2024 = "Date: Mon, 5 Feb 2024 10:00:00 +0000\n"

var factCases = []factCase{
	{"message_bytes", "A: b\n\nc\n", 11, nil},
	{"message_bytes", "A: b\n\ncd\n", 12, nil},

	{"date_hours_ahead", "Date: Mon, 5 Feb 2024 13:00:00 +0000", 3, arrived("2024-02-05T10:00:00Z")},
	{"date_hours_ahead", "Date: Mon, 5 Feb 2024 13:00:00 +0300", 0, arrived("2024-02-05T10:00:00Z")},
	{"date_hours_ahead", "Received: by x; Mon, 5 Feb 2024 10:00:00 +0000\nDate: Mon, 5 Feb 2024 13:00:00 +0000", 3, nil},
	{"date_hours_ahead", "Date: Mon, 5 Feb 2024 13:00:00 +0000", absent, nil},
	{"date_hours_behind", "Date: Sun, 4 Feb 2024 10:00:00 +0000", 24, arrived("2024-02-05T10:00:00Z")},
	{"date_hours_behind", "Date: Mon, 5 Feb 2024 13:00:00 +0000", 0, arrived("2024-02-05T10:00:00Z")},
	{"date_unparsable", "Date: yesterday", 1, nil},
	{"date_unparsable", "Date: 5 Feb 2024 10:00 GMT", 0, nil},
	{"date_unparsable", "Date: Mon Feb  5 10:00:00 2024", 0, nil},
	{"date_unparsable", "Subject: x", absent, nil},
	{"date_zone_odd", "Date: Mon, 5 Feb 2024 10:00:00 -1700", 1, nil},
	{"date_zone_odd", "Date: Mon, 5 Feb 2024 10:00:00 +0545", 0, nil},
	{"date_weekday_wrong", "Date: Tue, 5 Feb 2024 10:00:00 +0000", 1, nil},
	{"date_weekday_wrong", "Date: Mon, 5 Feb 2024 10:00:00 +0000", 0, nil},
	{"received_count", "Received: a\nReceived: b", 2, nil},
	{"received_count", "Subject: x", 0, nil},
	{"received_undated", "Received: by a\nReceived: by b; Mon, 5 Feb 2024 10:00:00 +0000", 1, nil},
	{"received_undated", "Received: by b; Mon, 5 Feb 2024 10:00:00 +0000", 0, nil},
	{"received_backwards", "Received: by c; Mon, 5 Feb 2024 10:00:00 +0000\nReceived: by b; Mon, 5 Feb 2024 12:00:00 +0000", 2, nil},
	{"received_backwards", "Received: by c; Mon, 5 Feb 2024 12:00:00 +0000\nReceived: by b; Mon, 5 Feb 2024 10:00:00 +0000", 0, nil},
	{"received_backwards", "Received: by c; Mon, 5 Feb 2024 12:00:00 +0000", absent, nil},
	{"received_hours", "Received: by c; Mon, 5 Feb 2024 12:00:00 +0000\nReceived: by b; Mon, 5 Feb 2024 10:30:00 +0000", 1.5, nil},
	{"received_hours", "Received: by c; Mon, 5 Feb 2024 12:00:00 +0000\nReceived: by b; Mon, 5 Feb 2024 14:00:00 +0200", 0, nil},
	{"mua_outdated_years", "Date: Mon, 1 Jan 2024 10:00:00 +0000\nX-Mailer: Microsoft Outlook Express 6.00", 16 + 1.0/366, nil},
	{"mua_outdated_years", "Date: Mon, 1 Jan 2024 10:00:00 +0000\nX-Mailer: Microsoft Outlook 16.0", absent, nil},

	{"from_count", "From: a@example.com, b@example.com", 2, nil},
	{"from_count", "From: \"Doe, Jane\" <jane@example.com>", 1, nil},
	{"from_name_other_address", "From: \"boss@example.com\" <x@example.net>", 1, nil},
	{"from_name_other_address", "From: \"boss@mail.example.com\" <x@example.com>", 0, nil},
	{"from_name_other_address", "From: \"joe @ work\" <x@example.com>", 0, nil},
	{"from_name_other_host", "From: \"shop.example.com\" <x@mail.example.com>", 0, nil},
	{"from_name_other_host", "From: \"bigshop.com Service\" <x@parcels.net>", 1, nil},
	{"from_name_other_host", "From: \"Dr. No\" <x@parcels.net>", 0, nil},
	{"from_name_recipient_domain", "From: \"example.net IT\" <x@example.com>\nTo: jane@example.net", 1, nil},
	{"from_name_recipient_domain", "From: \"gmail.com support\" <x@example.com>\nTo: jane@gmail.com", 0, nil},
	{"from_name_recipient_domain", "From: \"example.net IT\" <x@example.net>\nTo: jane@example.net", 0, nil},
	{"from_name_brand_foreign", "From: PayPal Service <x@example.com>", 1, nil},
	{"from_name_brand_foreign", "From: PayPal Service <x@mail.paypal.co.uk>", 0, nil},
	{"from_name_brand_foreign", "From: Amazonas Tours <x@example.com>", 0, nil},
	{"from_name_symbols", "From: =?utf-8?B?4pyFIFNob3Ag4pyF?= <x@example.com>", 2, nil},
	{"from_name_symbols", "From: =?utf-8?Q?M=C3=BCller_=E2=84=962?= <x@example.com>", 0, nil},
	{"from_free", "From: a@yahoo.co.uk", 1, nil},
	{"from_free", "From: a@yahoo.example.com", 0, nil},
	{"from_8bit", "From: R\xc3\xa9my <a@example.com>", 1, nil},
	{"from_8bit", "From: =?utf-8?Q?R=C3=A9my?= <a@example.com>", 0, nil},
	{"from_needless_encoding", "From: =?utf-8?B?UmVteQ==?= <a@example.com>", 1, nil},
	{"from_needless_encoding", "From: =?utf-8?B?UsOpbXk=?= <a@example.com>", 0, nil},
	{"from_local_random", "From: xkqwrt@example.com", 2, nil},
	{"from_local_random", "From: jane.smith@example.com", 0, nil},
	{"from_local_digits", "From: a1b23@example.com", 3, nil},
	{"from_local_digits", "From: ab@example.com", 0, nil},
	{"from_domain_random", "From: a@mail.xkqwrt.com", 2, nil},
	{"from_domain_random", "From: a@worldnews.com", 0, nil},
	{"from_domain_digits", "From: a@9.shop247.com", 3, nil},
	{"from_domain_digits", "From: a@247.shop.com", 0, nil},
	{"from_domain_labels", "From: a@b.example.com", 3, nil},
	{"from_domain_labels", "From: a@example.com", 2, nil},
	{"from_free_unsigned", in2024 + "From: a@gmail.com", 1, nil},
	{"from_free_unsigned", in2024 + signed("gmail.com") + "From: a@gmail.com", 0, nil},
	{"from_free_unsigned", in2024 + signed("google.com") + "From: a@gmail.com", 0, nil},
	{"from_free_unsigned", "Date: Tue, 5 Feb 2002 10:00:00 +0000\nFrom: a@gmail.com", absent, nil},
	{"from_free_unsigned", in2024 + "From: a@example.com", absent, nil},
	{"from_brand_unsigned", in2024 + "From: a@fedex.com", 1, nil},
	{"from_brand_unsigned", in2024 + signed("mail.fedex.com") + "From: a@fedex.com", 0, nil},
	{"unsigned_today", in2024 + "From: a@example.com", 1, nil},
	{"unsigned_today", in2024 + signed("example.net") + "From: a@example.com", 0, nil},
	{"unsigned_today", "From: a@example.com", absent, nil},
	{"dkim_of_from", signed("example.com") + "From: a@b.example.com", 1, nil},
	{"dkim_of_from", signed("example.net") + "From: a@example.com", 0, nil},
	{"from_recipient_org", "From: a@www.example.com\nTo: b@example.com", 1, nil},
	{"from_recipient_org", "From: a@gmail.com\nTo: b@gmail.com", 0, nil},
	{"reply_to_differs", "From: a@example.com\nReply-To: a@example.net", 1, nil},
	{"reply_to_differs", "From: a@x.example.com\nReply-To: a@example.com", 0, nil},
	{"reply_to_differs", "From: Jo via Club <c@example.com>\nReply-To: a@example.net", absent, nil},
	{"reply_to_free", "From: a@example.com\nReply-To: b@gmail.com", 1, nil},
	{"reply_to_free", "From: a@gmail.com\nReply-To: a@gmail.com", 0, nil},
	{"reply_to_free_both", "From: a@gmail.com\nReply-To: b@yahoo.com", 1, nil},
	{"reply_to_free_both", "From: a@example.com\nReply-To: b@yahoo.com", 0, nil},
	{"reply_to_lookalike", "From: marie.k@example.com\nReply-To: marie.c@example.net", 1, nil},
	{"reply_to_lookalike", "From: marie.k@example.com\nReply-To: sales@example.net", 0, nil},

	{"envelope_differs", "From: a@example.com", 1, client("192.0.2.1", "", "", "b@example.net")},
	{"envelope_differs", "From: a@example.com", 0, client("192.0.2.1", "", "", "b@mail.example.com")},
	{"envelope_differs", "From: a@example.com", absent, nil},
	{"envelope_recipients", "From: a@example.com", 2, client("192.0.2.1", "", "", "", "x@example.net", "y@example.net")},
	{"envelope_recipients", "From: a@example.com", absent, nil},
	{"ptr_holds_address", "A: b", 1, client("192.0.2.131", "p131-2-0-192.example.net", "", "")},
	{"ptr_holds_address", "A: b", 0, client("192.0.2.131", "mail131.example.net", "", "")},
	{"hello_other_address", "A: b", 1, client("192.0.2.1", "", "[192.0.2.2]", "")},
	{"hello_other_address", "A: b", 0, client("192.0.2.1", "", "[192.0.2.1]", "")},
	{"hello_recipient_domain", "A: b", 1, client("192.0.2.1", "", "mx.example.net", "", "jane@example.net")},
	{"hello_recipient_domain", "A: b", 0, client("192.0.2.1", "mx.example.net", "mx.example.net", "", "jane@example.net")},
	{"recipients", "To: a@example.com, b@example.com\nCc: c@example.com", 3, nil},
	{"recipients", "To: undisclosed-recipients:;", 0, nil},
	{"to_equals_from", "From: a@example.com\nTo: A <a@example.com>", 1, nil},
	{"to_equals_from", "From: a@example.com\nTo: b@example.com", 0, nil},
	{"to_undisclosed", "To: undisclosed-recipients:;", 1, nil},
	{"to_undisclosed", "To: a@example.com", 0, nil},
	{"to_undisclosed", "From: a@example.com", absent, nil},
	{"to_name_is_address", "To: \"jane\" <jane@example.com>", 1, nil},
	{"to_name_is_address", "To: Jane Doe <jane@example.com>", 0, nil},
	{"recipient_in_subject", "To: jane@example.com\nSubject: mail for Jane@example.com", 1, nil},
	{"recipient_in_subject", "To: jane@example.com\nSubject: mail for jane", 0, nil},
	{"recipient_in_text", plain("jane@example.net is full, jane@example.net!"), 2, nil},
	{"recipient_in_text", plain("jane is full"), 0, nil},
	{"recipient_domain_named", "From: \"EXAMPLE.NET desk\" <a@example.org>\nTo: jane@example.net\nSubject: x\n\nThe example.net team. Team of example.net.\n", 3, nil},
	{"recipient_domain_named", plain("jane@example.net, https://example.net/ and mail.example.net, example.net.au"), 0, nil},
	{"recipient_domain_named", "From: a@example.org\nTo: jane@gmail.com\nSubject: x\n\ngmail.com\n", absent, nil},
	{"recipient_local_greeted", "From: a@example.org\nTo: j.doe@example.net\nSubject: x\n\nDear J.Doe,\n\nhello\n", 1, nil},
	{"recipient_local_greeted", "From: a@example.org\nTo: j.doe@example.net\nSubject: x\n\nDear Jane,\n\nhello j.doe how are you today\n", 0, nil},
	{"recipient_local_greeted", "From: a@example.org\nTo: jane@example.net\nSubject: x\n\nDear jane,\n", absent, nil},

	{"message_id_foreign", "From: a@example.com\nMessage-ID: <1@other.net>", 1, nil},
	{"message_id_foreign", "From: a@example.com\nMessage-ID: <1@mail.example.com>", 0, nil},
	{"message_id_foreign", "Received: from x by mx.other.net; x\nFrom: a@example.com\nMessage-ID: <1@other.net>", 0, nil},
	{"message_id_malformed", "Message-ID: 123", 1, nil},
	{"message_id_malformed", "Message-ID: <a b@example.com>", 1, nil},
	{"message_id_malformed", "Message-ID: <ab@example.com>", 0, nil},
	{"message_id_unknown_suffix", "Message-ID: <1@abc.tlvx>", 1, nil},
	{"message_id_unknown_suffix", "Message-ID: <1@abc.local>", 0, nil},
	{"message_id_unknown_suffix", "Message-ID: <1@abc.github.io>", 0, nil},
	{"message_id_free_foreign", "From: a@example.com\nMessage-ID: <1@yahoo.com>", 1, nil},
	{"message_id_free_foreign", "From: a@yahoo.com\nMessage-ID: <1@yahoo.com>", 0, nil},

	{"subject_length", "Subject: =?utf-8?Q?R=C3=A9my?=", 4, nil},
	{"subject_length", "Subject:", 0, nil},
	{"subject_upper_ratio", "Subject: ABCDE fghij", 0.5, nil},
	{"subject_upper_ratio", "Subject: ABC", absent, nil},
	{"subject_8bit", "Subject: R\xc3\xa9my", 1, nil},
	{"subject_8bit", "Subject: Remy", 0, nil},
	{"subject_needless_encoding", "Subject: =?utf-8?B?UmVteQ==?=", 1, nil},
	{"subject_needless_encoding", "Subject: =?utf-8?B?UsOpbXk=?=", 0, nil},
	{"subject_gap", "Subject: a     b", 5, nil},
	{"subject_gap", "Subject: ab", 0, nil},
	{"subject_symbols", "Subject: =?utf-8?B?4pyF4pyF?=", 2, nil},
	{"subject_symbols", "Subject: 1 + 1 = 2", 0, nil},
	{"subject_reply_to_nothing", "Subject: Re: x", 1, nil},
	{"subject_reply_to_nothing", "Subject: Re: x\nReferences: <1@example.com>", 0, nil},
	{"subject_is_name", "From: Anna Bello <a@example.com>\nSubject: ANNA BELLO", 1, nil},
	{"subject_is_name", "From: Anna Bello <a@example.com>\nSubject: Anna Bello is ill", 0, nil},

	{"text_words", plain("two words"), 2, nil},
	{"text_words", plain("Jane's co-op"), 2, nil},
	{"text_words", plain("你好世界"), 2, nil},
	{"text_words", plain(""), 0, nil},
	{"text_upper_ratio", plain(strings.Repeat("ABcd ", 50)), 0.5, nil},
	{"text_upper_ratio", plain("ABCD"), absent, nil},
	{"text_exclamations", plain(strings.Repeat("go! ", 20)), 100, nil},
	{"text_exclamations", plain("go!"), absent, nil},
	{"text_longest_word", plain("a longword and https://example.com/averyveryverylongpath"), 8, nil},
	{"text_longest_word", plain("a b"), 1, nil},
	{"zero_width_chars", plain("pass\u200bword and ex\u00adpire"), 2, nil},
	{"zero_width_chars", plain("a line \u200bthat"), 0, nil},
	{"zero_width_chars", plain("preview \u200b \u200c end \U0001F468\u200D\U0001F469"), 0, nil},
	{"words_broken_share", plain("De.ar cus-tomer yo_ur pack*age cannot be delivered without payment today"), 4.0 / 9, nil},
	{"words_broken_share", plain("your package cannot be delivered without payment today"), absent, nil},
	{"words_leet_share", plain("De4r cust0mer y0ur p4ckage cannot be delivered without payment today"), 4.0 / 9, nil},
	{"words_leet_share", plain("your package cannot be delivered without payment today"), absent, nil},
	{"word_length", plain(strings.Repeat("abcd ef ", 16)), (16*6 + 1.0) / 33, nil},
	{"word_length", plain(strings.Repeat("abcd ef ", 15)), absent, nil},
	{"words_single_share", plain(strings.Repeat("ab c ", 16)), 17.0 / 33, nil},
	{"words_single_share", plain(strings.Repeat("शब्द ", 40)), absent, nil},
	{"bidi_overrides", plain("a\u202Eb"), 1, nil},
	{"bidi_overrides", plain("a\u200Fb"), 0, nil},
	{"mixed_script_words", plain("p\u0430ssword p\u0430yment"), 2, nil},
	{"mixed_script_words", plain("привет hello 5 µg"), 0, nil},
	{"mixed_script_header", "From: a@example.com\nSubject: =?utf-8?Q?P=D0=B0yment?=", 1, nil},
	{"mixed_script_header", "From: a@example.com\nSubject: Payment", 0, nil},
	{"styled_letters", plain("𝐁𝐢𝐭 Ａ"), 4, nil},
	{"styled_letters", plain("Bit"), 0, nil},
	{"charset_unused", "Content-Type: text/plain; charset=koi8-r\nMIME-Version: 1.0\n\n" + strings.Repeat("hello ", 10), 1, nil},
	{"charset_unused", "Content-Type: text/plain; charset=utf-8\nMIME-Version: 1.0\n\n" + strings.Repeat("hello ", 10), 0, nil},
	{"base64_of_ascii", "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\naGVsbG8gd29ybGQ=\n", 1, nil},
	{"base64_of_ascii", "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\naMOpbGxv\n", 0, nil},

	{"html_only", html("<p>a</p>"), 1, nil},
	{"html_only", alternative("a", "<p>a</p>"), 0, nil},
	{"html_text_ratio", plain("abc"), absent, nil},
	{"html_malformed", plain("abc"), absent, nil},
	{"html_malformed", html("<p>a</p>"), 0, nil},
	{"html_comments", html("<p>a<!--x-->b<!--y--></p>"), 2, nil},
	{"html_comments", html("<p>a</p>"), 0, nil},
	{"html_entity_letters", html("&#65;&#x62;&#233;&#39;&#49;"), 3, nil},
	{"html_entity_letters", html("&amp;"), 0, nil},
	{"hidden_chars", html("<p>seen</p><div style=\"display:none\">un seen</div>"), 6, nil},
	{"hidden_chars", html("<p>seen</p><!-- not text -->"), 0, nil},
	{"hidden_ratio", html("<p>seen</p>"), absent, nil},
	{"hidden_ratio", html("<p>" + strings.Repeat("seen ", 20) + "</p>"), 0, nil},
	{"hidden_same_colour", html("<body bgcolor=#ffffff><font color=#ffffff>roses</font></body>"), 5, nil},
	{"hidden_same_colour", html("<body bgcolor=#ffffff><font color=#000000>roses</font></body>"), 0, nil},
	{"hidden_tiny", html("<p>a<span style=\"font-size:0px\">roses</span></p>"), 5, nil},
	{"hidden_tiny", html("<p>a<span style=\"font-size:9px\">roses</span></p>"), 0, nil},
	{"source_8bit", plain("\u00e9"), 1, nil},
	{"source_8bit", plain("e"), 0, nil},
	{"hidden_runs", html("<p>a<b style=\"display:none\">x</b>c<b style=\"display:none\">y</b>e</p>"), 2, nil},
	{"hidden_runs", html("<p>a</p>"), 0, nil},
	{"hidden_crumbs", html("<p>pa<b style=\"display:none\">xy</b>ss<b style=\"display:none\">longer text</b></p>"), 1, nil},
	{"hidden_crumbs", html("<p>a</p>"), 0, nil},
	{"images", html("<img src=\"https://example.com/a.png\"><img src=\"cid:b\">"), 2, nil},
	{"images", html("<p>a</p>"), 0, nil},
	{"image_only", html("<img src=\"https://example.com/a.png\">look"), 1, nil},
	{"image_only", html("<img src=\"https://example.com/a.png\" width=1 height=1>look"), 0, nil},
	{"image_link_only", html("<a href=\"https://example.com/\"><img src=\"https://example.com/a.png\"></a>"), 1, nil},
	{"image_link_only", html("<a href=\"https://example.com/\"><img src=\"https://example.com/a.png\"></a><a href=\"https://example.com/b\">b</a>"), 0, nil},
	{"image_link_only", html(strings.Repeat("<a href=\"https://example.com/\"><img src=\"https://example.com/a.png\"></a>", 4)), 0, nil},
	{"alternative_overlap", alternative("alpha bravo gamma delta epsilon omega sigma kappa lambda theta", "<p>alpha bravo gamma delta epsilon</p>"), 0.5, nil},
	{"alternative_overlap", alternative("alpha", "<p>alpha</p>"), absent, nil},
	{"alternative_plain_empty", alternative(" ", "<p>a</p>"), 1, nil},
	{"alternative_plain_empty", alternative("a", "<p>a</p>"), 0, nil},

	{"links", plain("https://example.com/a https://example.com/b https://example.com/a"), 2, nil},
	{"links", plain("mailto:a@example.com"), 0, nil},
	{"link_hosts", plain("https://a.example.com/ https://b.example.com/ https://example.net/"), 2, nil},
	{"link_hosts", plain("none"), 0, nil},
	{"link_foreign_share", plain("https://a.example.com/ https://example.net/"), 0.5, nil},
	{"link_foreign_share", plain("none"), absent, nil},
	{"link_deceptive", html("<a href=\"https://evil.net/\">https://bank.com/</a>"), 1, nil},
	{"link_deceptive", html("<a href=\"https://bank.com/a\">https://bank.com/</a>"), 0, nil},
	{"link_ip", plain("http://192.0.2.7/x"), 1, nil},
	{"link_ip", plain("http://192.168.1.1/x"), 0, nil},
	{"link_punycode", plain("https://xn--pypal-4ve.com/"), 1, nil},
	{"link_punycode", plain("https://example.com/xn--a"), 0, nil},
	{"link_user_info", html("<a href=\"https://bank.com@evil.net/\">x</a>"), 1, nil},
	{"link_user_info", html("<a href=\"https://evil.net/@bank.com\">x</a>"), 0, nil},
	{"link_free_host", plain("https://shop.weebly.com/ https://b.s3-eu-west-1.amazonaws.com/x https://s3.amazonaws.com/x https://ec2.amazonaws.com/"), 3, nil},
	{"link_free_host", plain("https://shop.example.com/"), 0, nil},
	{"link_shortener", plain("https://bit.ly/a https://www.bit.ly/b"), 2, nil},
	{"link_shortener", plain("https://rabbit.ly/a"), 0, nil},
	{"link_brand_foreign", plain("https://paypal.com.evil.net/ https://my-netflix.evil.net/"), 2, nil},
	{"link_brand_foreign", plain("https://www.paypal.com/"), 0, nil},
	{"link_redirect", plain("https://example.com/r?u=https%3A%2F%2Fexample.net"), 1, nil},
	{"link_redirect", plain("https://example.com/r?u=1"), 0, nil},
	{"link_port", plain("https://example.com:8443/"), 1, nil},
	{"link_port", plain("https://example.com:443/"), 0, nil},
	{"link_one_target", html("<a href=\"https://example.com/\">a</a><a href=\"https://example.com/\">b</a><a href=\"https://example.com/\">c</a>"), 1, nil},
	{"link_one_target", html("<a href=\"https://example.com/\">a</a><a href=\"https://example.com/\">b</a><a href=\"https://example.com/d\">c</a>"), 0, nil},
	{"link_text_share", html("<p>one two three</p><a href=\"https://example.com/\">four five six</a>"), 0.5, nil},
	{"link_text_share", html("<p>one two three</p>"), absent, nil},
	{"link_longest", plain("https://example.com/abc"), 23, nil},
	{"link_longest", plain("none"), absent, nil},
	{"link_labels", plain("https://a.b.c.example.com/"), 5, nil},
	{"link_labels", plain("https://example.com/"), 2, nil},
	{"link_random_host", plain("https://www.xkqwrt.com/"), 2, nil},
	{"link_random_host", plain("https://www.example.com/"), 0, nil},
	{"link_recipient", plain("https://example.com/?u=jane@example.net https://example.com/amFuZUBleGFtcGxlLm5ldA=="), 2, nil},
	{"link_recipient", plain("https://example.com/?u=joe@example.net"), 0, nil},
	{"link_recipient_fragment", plain("https://example.com/#jane@example.net"), 1, nil},
	{"link_recipient_fragment", plain("https://example.com/?u=jane@example.net"), 0, nil},

	{"parts", alternative("a", "<p>a</p>"), 3, nil},
	{"parts", plain("a"), 1, nil},
	{"alternate_parts", plain("a"), 0, nil},
	{"defects", "From: a@example.com\nMIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: base65\n\nhello\n", 1, nil},
	{"defects", plain("a"), 0, nil},
	{"alternative_single", "MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>a</p>\n--b--\n", 1, nil},
	{"alternative_single", alternative("a", "<p>a</p>"), 0, nil},
	{"attachments", file("a.pdf", "application/pdf", "%PDF-1.4"), 1, nil},
	{"attachments", plain("a"), 0, nil},
	{"attachment_only", strings.ReplaceAll(file("a.pdf", "application/pdf", "%PDF-1.4"), "Hello Jane, here it is, as promised.", "hello"), 1, nil},
	{"attachment_only", file("a.pdf", "application/pdf", "%PDF-1.4"), 0, nil},
	{"attachment_recipient_name", file("for jane@example.net.pdf", "application/pdf", "%PDF-1.4"), 1, nil},
	{"attachment_recipient_name", file("a.pdf", "application/pdf", "%PDF-1.4"), 0, nil},
	{"attachment_executable", file("a.vbs", "text/plain", "x"), 1, nil},
	{"attachment_executable", file("a.txt", "text/plain", "x"), 0, nil},
	{"attachment_double_extension", file("a.pdf.exe", "application/octet-stream", "x"), 1, nil},
	{"attachment_double_extension", file("a.tar.gz", "application/octet-stream", "x"), 0, nil},
	{"attachment_padded_name", file("a.pdf            .exe", "application/octet-stream", "x"), 1, nil},
	{"attachment_padded_name", file("a   b   c.pdf", "application/octet-stream", "x"), 0, nil},
	{"attachment_turned_name", strings.ReplaceAll(file("a", "application/octet-stream", "x"), "filename=\"a\"", "filename*=utf-8''a%E2%80%AEfdp.exe"), 1, nil},
	{"attachment_turned_name", file("a.pdf", "application/pdf", "%PDF-1.4"), 0, nil},
	{"attachment_macro", file("a.docm", "application/octet-stream", "x"), 1, nil},
	{"attachment_macro", file("a.docx", "application/octet-stream", "x"), 0, nil},
	{"attachment_archive", file("a.zip", "application/zip", "x"), 1, nil},
	{"attachment_archive", file("a.pdf", "application/pdf", "%PDF-1.4"), 0, nil},
	{"attachment_disk_image", file("a.iso", "application/octet-stream", "x"), 1, nil},
	{"attachment_disk_image", file("a.zip", "application/zip", "x"), 0, nil},
	{"attachment_html", file("a.shtml", "text/html", "<p>x</p>"), 1, nil},
	{"attachment_html", file("a.pdf", "application/pdf", "%PDF-1.4"), 0, nil},
	{"attachment_mismatch", file("a.jpg", "image/jpeg", "%PDF-1.4"), 1, nil},
	{"attachment_mismatch", file("a.pdf", "application/pdf", "%PDF-1.4"), 0, nil},
	{"attachment_executable_content", file("a.pdf", "application/pdf", "%PDF-1.4"), 0, nil},
	{"attachment_executable_disguised", file("a.pdf", "application/pdf", "%PDF-1.4"), 0, nil},

	{"list_consistent", "List-Id: Club <club.lists.example.org>\nList-Post: <mailto:club@lists.example.org>", 1, nil},
	{"list_consistent", "List-Id: Club <club.lists.example.org>\nList-Post: <mailto:club@example.net>", 0, nil},
	{"list_consistent", "Subject: x", absent, nil},
	{"unsubscribe_own", "From: a@news.example.com\nList-Unsubscribe: <https://example.com/u>", 1, nil},
	{"unsubscribe_own", "From: a@news.example.com\nList-Unsubscribe: <https://example.net/u>", 0, nil},
}

func TestFacts(t *testing.T) {
	seen := map[string]map[float64]bool{}
	for _, c := range factCases {
		f, ok := lookupFact(c.fact)
		if !ok {
			t.Errorf("no fact %s", c.fact)
			continue
		}
		got, ok := f(factMail(c))
		if !ok {
			got = absent
		}
		if math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s = %v, want %v for\n%s", c.fact, got, c.want, c.raw)
		}
		if seen[c.fact] == nil {
			seen[c.fact] = map[float64]bool{}
		}
		seen[c.fact][c.want] = true
	}
	for _, n := range factNames() {
		if len(seen[n]) < 2 && !oneSided[n] {
			t.Errorf("fact %s: %d different values tested, want two or more", n, len(seen[n]))
		}
	}
}

// oneSided facts have their other value tested elsewhere: an executable needs
// bytes that do not stand in a table of text.
var oneSided = map[string]bool{"attachment_executable_content": true, "attachment_executable_disguised": true, "html_text_ratio": true, "alternate_parts": true}

func TestFactsOfPrograms(t *testing.T) {
	program := "MZ\x90\x00" + strings.Repeat("\x00", 56) + "\x40\x00\x00\x00PE\x00\x00\x4c\x01" + strings.Repeat("\x00", 64)
	for name, want := range map[string]float64{"bill.pdf": 1, "bill.exe": 0} {
		m := factMail(factCase{raw: file(name, "application/octet-stream", program)})
		if got, _ := facts["attachment_executable_content"](m); got != 1 {
			t.Errorf("%s: attachment_executable_content = %v", name, got)
		}
		if got, _ := facts["attachment_executable_disguised"](m); got != want {
			t.Errorf("%s: attachment_executable_disguised = %v, want %v", name, got, want)
		}
	}
}

func TestFactRatios(t *testing.T) {
	little := html("<table width=\"600\" cellpadding=\"0\" cellspacing=\"0\"><tr><td style=\"padding:0;margin:0\">Hi</td></tr></table>")
	much := html("<p>" + strings.Repeat("many words ", 100) + "</p>")
	low, ok1 := facts["html_text_ratio"](factMail(factCase{raw: little}))
	high, ok2 := facts["html_text_ratio"](factMail(factCase{raw: much}))
	if !ok1 || !ok2 || low > 0.05 || high < 0.75 {
		t.Errorf("html_text_ratio = %v, %v", low, high)
	}
	hiddenMuch := html("<p>Hello there</p><div style=\"display:none\">" + strings.Repeat("roses ", 40) + "</div>")
	if r, ok := facts["hidden_ratio"](factMail(factCase{raw: hiddenMuch})); !ok || r < 0.9 {
		t.Errorf("hidden_ratio = %v, %v", r, ok)
	}
	twice := "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n\naGVsbG8gd29ybGQ=\n"
	if n, ok := facts["alternate_parts"](factMail(factCase{raw: twice})); !ok || n < 1 {
		t.Errorf("alternate_parts = %v, %v", n, ok)
	}
}

// TestFactsNeverFail runs every fact over mail that has nothing, or only
// rubbish, to compute it from.
func TestFactsNeverFail(t *testing.T) {
	for _, raw := range []string{"", "\n\n", "From:\nTo: @\nDate:\nMessage-ID: <>\nReceived:\nSubject: =?utf-8?B??=\n\n", "From: <@>\nReply-To: <@\nTo: \"\"\nMessage-ID: <@>\n\n\x00\xff",
		"Content-Type: multipart/alternative; boundary=b\n\n--b\n--b--", "Content-Type: text/html\n\n<a href=\"https://\"><a href=\"//@:\">&#;&#x;&#xZ<img src>"} {
		m := factMail(factCase{raw: raw})
		for _, n := range factNames() {
			f, _ := lookupFact(n)
			if v, _ := f(m); math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%s = %v for %q", n, v, raw)
			}
		}
	}
}

func TestBrandsAreReachable(t *testing.T) {
	for _, b := range brands {
		for _, p := range b.phrases {
			if worn, foreign := brandIn("the"+p+"team", "mailer.example.com"); !worn || !foreign {
				t.Errorf("%q is not found in a display name", p)
			}
		}
	}
	if len(brands) < 30 {
		t.Errorf("%d brands", len(brands))
	}
}

func TestParseDate(t *testing.T) {
	want := time.Date(2024, 2, 5, 9, 8, 7, 0, time.UTC)
	for _, s := range []string{
		"Mon, 5 Feb 2024 09:08:07 +0000", "Mon,  5 Feb 2024 09:08:07 GMT", "5 Feb 2024 11:08:07 +0200 (EET)", "5 Feb 2024 04:08:07 -0500", "Mon, 05 Feb 24 04:08:07 EST",
		"Monday, 5-Feb-24 09:08:07 UT", "Mon Feb  5 09:08:07 2024", "Mon Feb 5 09:08:07 GMT 2024", "Mon, 5 Feb 124 09:08:07 +0000", "mon, 5 FEB 2024 14:53:07 +0545",
		"Mon, 5 February 2024 09:08:07.123 -0000", "\tMon,5 Feb 2024 09:08:07 Z",
	} {
		if got, ok := parseDate(s); !ok || !got.Equal(want) {
			t.Errorf("%q = %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "now", "5 Feb 2024", "Mon, 5 Feb 2024 25:00:00 +0000", "Mon, 35 Feb 2024 09:00:00 +0000", "5 Foo 2024 09:00:00 +0000", "09:08:07", "Mon, 5 Feb 2024 09:08:07 +000x",
		"5 5 5 5 5 5 5 5", "(Mon, 5 Feb 2024 09:08:07 +0000)", "Mon, 5 Feb 2024 9999999999:08"} {
		if got, ok := parseDate(s); ok {
			t.Errorf("%q = %v, want none", s, got)
		}
	}
}
