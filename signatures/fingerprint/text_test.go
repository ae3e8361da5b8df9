package fingerprint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"spamcatcher/engine/message"
)

// invoice is a mailing, written for these tests.
const invoice = `Dear Marion Fairweather,

our records show that the invoice 2026-4471 of 318.20 euros has not been settled
although the date of payment passed eleven days ago. Please be so kind as to
transfer the amount by Friday, so that we need not charge interest for the delay.

The bank connection has changed since our previous letter: use only the account
that is named in the attached sheet, and state the number of the invoice.

If you have paid in the meantime, ignore this reminder and accept our thanks. For
questions about the delivery Bernhard Osterkamp is at your service under 0800 4471.

With kind regards,
Accounts receivable, Osterkamp and Daughters
`

const other = `Hello everybody,

the rehearsal on Wednesday begins half an hour later than usual because the hall
is taken by the chess club until seven. Bring the music for the second half of the
programme, a pencil, and something to drink; the kitchen is being painted.

Afterwards we sit together as always. Who can give the altos a lift home? The last
tram leaves shortly before eleven and it does not wait for the coda.
`

func plainMail(to, text string) *message.Message {
	return message.Parse([]byte("From: accounts@example.org\r\nTo: "+to+"\r\nSubject: Reminder\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+
		strings.ReplaceAll(text, "\n", "\r\n")), message.Limits{})
}

func htmlMail(html string) *message.Message {
	return message.Parse([]byte("From: accounts@example.org\r\nTo: x@example.net\r\nSubject: Reminder\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"+html+"\r\n"), message.Limits{})
}

func printOf(m *message.Message, kind Kind) *Print {
	for _, p := range Of(m) {
		if p.Kind == kind {
			return &p
		}
	}
	return nil
}

// TestFuzzy: the same mailing is known again, another is not.
func TestFuzzy(t *testing.T) {
	original := printOf(plainMail("m.fairweather@example.net", invoice), Fuzzy)
	if original == nil {
		t.Fatal("no fuzzy fingerprint")
	}
	paragraphs := strings.Split(strings.TrimSpace(invoice), "\n\n")
	slices.Reverse(paragraphs)
	marked := "<p>" + strings.ReplaceAll(invoice, "\n\n", "</p><p>") + "</p>"
	noise := "garden weather holiday cousin bicycle window yesterday mountain "
	for name, m := range map[string]*message.Message{
		"numbers": plainMail("a@example.net", strings.NewReplacer("2026-4471", "2026-9983", "318.20", "74.95", "eleven", "twelve", "0800 4471", "0800 9983").Replace(invoice)),
		"names": plainMail("b@example.net", strings.NewReplacer("Marion Fairweather", "Ngozi Blomqvist", "Bernhard Osterkamp", "Tadeusz Delacroix", "Osterkamp and", "Delacroix and").
			Replace(invoice)),
		"order":      plainMail("c@example.net", strings.Join(paragraphs, "\n\n")),
		"salutation": plainMail("d@example.net", strings.Replace(invoice, "Dear Marion Fairweather", "Good morning", 1)),
		"case":       plainMail("e@example.net", strings.ToUpper(invoice)),
		"marks":      plainMail("f@example.net", strings.NewReplacer(".", " !!", ",", " -", ":", "...").Replace(invoice)),
		"split":      plainMail("g@example.net", strings.NewReplacer("amount", "am ount", "payment", "pay-ment", "account", "acc.ount", "invoice", "in voice", "letter", "let ter").Replace(invoice)),
		"homoglyphs": plainMail("h@example.net", strings.NewReplacer("a", "а", "o", "о", "e", "е").Replace(invoice)),
		"widthless":  plainMail("i@example.net", strings.NewReplacer("t", "t\u200b", "s", "s\u00ad").Replace(invoice)),
		"html":       htmlMail(marked),
		"hidden": htmlMail(strings.NewReplacer(". ", `. <span style="display:none">`+strings.Repeat(noise, 3)+"</span>", "the ", `th<!-- x -->e <font style="font-size:0">`+noise+"</font>").
			Replace(marked)),
		"white":    htmlMail(marked + `<div style="color:#ffffff;background:#ffffff">` + strings.Repeat(noise, 40) + "</div>"),
		"appended": plainMail("j@example.net", invoice+strings.Repeat(noise, 4)),
		"alternative": message.Parse([]byte("To: l@example.net\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"+
			other+other+strings.Repeat(noise, 40)+"\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"+marked+"\r\n--b--\r\n"), message.Limits{}),
		"address": plainMail("k@example.net", strings.Replace(invoice, "sheet", "sheet https://pay.example/x8/q?u=k@example.net (for k@example.net)", 1)),
	} {
		p := printOf(m, Fuzzy)
		if p == nil {
			t.Errorf("%s: no fuzzy fingerprint", name)
			continue
		}
		if n := original.Bands.Common(p.Bands); n < MinBands {
			t.Errorf("%s: %d bands in common, %d are needed", name, n, MinBands)
		}
	}
	// What the plain alternative says makes no difference at all.
	alternatives := func(plain string) *Print {
		return printOf(message.Parse([]byte("To: l@example.net\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"+
			plain+"\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"+marked+"\r\n--b--\r\n"), message.Limits{}), Fuzzy)
	}
	if a, b := alternatives(other), alternatives(strings.Repeat(noise, 40)); a.Bands != b.Bands {
		t.Errorf("other plain alternatives: %d bands in common", a.Bands.Common(b.Bands))
	}
	p := printOf(plainMail("x@example.net", other), Fuzzy)
	if n := original.Bands.Common(p.Bands); n > 1 {
		t.Errorf("an unrelated text has %d bands in common", n)
	}
}

// TestText: exactly the same text, whatever is around it.
func TestText(t *testing.T) {
	original := printOf(plainMail("Marion Fairweather <mf@example.net>", invoice), Text)
	for name, m := range map[string]*message.Message{
		"wrapped":  plainMail("mf@example.net", strings.ReplaceAll(strings.ReplaceAll(invoice, "\n\n", "\t"), "\n", " ")),
		"numbers":  plainMail("mf@example.net", strings.ReplaceAll(invoice, "4471", "1234")),
		"greeting": plainMail("Ngozi Blomqvist <nb@example.net>", strings.Replace(invoice, "Marion Fairweather", "Ngozi Blomqvist", 1)),
	} {
		if name == "wrapped" || name == "numbers" { // the name stands in the text and must be called by the header
			m = plainMail("Marion Fairweather <mf@example.net>", string(m.Body()))
		}
		if p := printOf(m, Text); p == nil || p.ID != original.ID {
			t.Errorf("%s: another fingerprint", name)
		}
	}
	if p := printOf(plainMail("Marion Fairweather <mf@example.net>", strings.Replace(invoice, "kind", "warm", 1)), Text); p.ID == original.ID {
		t.Error("another text has the same exact fingerprint")
	}
}

// TestShortTexts: what everybody writes has no fingerprint.
func TestShortTexts(t *testing.T) {
	for _, text := range []string{"", "See the attachment.", "Thank you very much, see you on Monday at nine.", strings.Repeat("1234567890 https://a.example/b ", 100)} {
		if list := Of(plainMail("x@example.net", text)); len(list) > 0 && (list[0].Kind == Text || list[0].Kind == Fuzzy) {
			t.Errorf("%.40q has the fingerprint %+v", text, list[0])
		}
	}
	if printOf(plainMail("x@example.net", strings.Repeat("buy now and win ", 100)), Fuzzy) != nil {
		t.Error("a phrase over and over has a fuzzy fingerprint")
	}
	medium := "Thank you very much for the drawings, I shall have a look at them on Monday morning."
	if printOf(plainMail("x@example.net", medium), Text) == nil || printOf(plainMail("x@example.net", medium), Fuzzy) != nil {
		t.Error("a sentence must have an exact fingerprint and no fuzzy one")
	}
}

// TestIdeographs: a language without spaces has windows of fewer signs.
func TestIdeographs(t *testing.T) {
	text := "尊敬的客户您好我们很高兴地通知您本公司的秋季产品目录已经印刷完毕其中包括花园工具木制家具和手工陶瓷如果您希望收到一份请在本周五之前告诉我们您的邮寄地址我们将免费寄送给您谢谢"
	a := printOf(plainMail("x@example.net", text), Fuzzy)
	b := printOf(plainMail("x@example.net", strings.NewReplacer("秋季", "春季", "本周五", "下星期三").Replace(text)), Fuzzy)
	c := printOf(plainMail("x@example.net", "今天下午三点在学校礼堂举行家长会请各位家长准时参加会议将讨论下学期的课程安排以及校车路线的变更另外请带上孩子的健康手册和两张照片如果不能出席请提前与班主任联系确认谢谢配合"), Fuzzy)
	if a == nil || b == nil || c == nil {
		t.Fatal("no fuzzy fingerprint")
	}
	if n := a.Bands.Common(b.Bands); n < MinBands {
		t.Errorf("%d bands in common with the changed text", n)
	}
	if n := a.Bands.Common(c.Bands); n > 1 {
		t.Errorf("%d bands in common with another text", n)
	}
}

// TestOneWindow: every bin is filled even by the least text, so that two of them
// have nothing in common.
func TestOneWindow(t *testing.T) {
	total := 0
	for i := range 2000 {
		a, b := []rune("abcdefg"), []rune("hijklmn")
		a[i%7] += rune(i)
		b[i%7] += rune(i)
		total += fuzzy(a).Common(fuzzy(b))
	}
	if total > 1 { // 80,000 bands, 2^20 values
		t.Errorf("%d bands in common", total)
	}
}

// TestAttachments: files are known by their bytes, tiny ones and pictures
// behind others not at all.
func TestAttachments(t *testing.T) {
	mail := func(files ...string) *message.Message {
		var b strings.Builder
		b.WriteString("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n")
		for i, f := range files {
			kind, content, _ := strings.Cut(f, ":")
			fmt.Fprintf(&b, "--b\r\nContent-Type: %s; name=\"f%d\"\r\nContent-Disposition: attachment\r\n\r\n%s\r\n", kind, i, content)
		}
		b.WriteString("--b--\r\n")
		return message.Parse([]byte(b.String()), message.Limits{})
	}
	big := func(c string, n int) string { return strings.Repeat(c, n) }
	if list := Of(mail("application/pdf:tiny", "image/gif:"+big("g", minAttachment-1))); len(list) != 0 {
		t.Errorf("tiny files: %+v", list)
	}
	list := Of(mail("image/png:"+big("i", 5000), "application/pdf:"+big("p", 800), "application/zip:"+big("z", 900), "application/zip:"+big("z", 900)))
	if len(list) != 2 || list[0].Of != "f2" || list[1].Of != "f1" {
		t.Errorf("fingerprints %+v, want those of f2 and f1", list)
	}
	again := Of(mail("application/octet-stream:" + big("p", 800)))
	if len(again) != 1 || again[0].ID != list[1].ID {
		t.Errorf("the same file under another name: %+v", again)
	}
}

// TestResemblance: the bands that two texts share are as many as their
// resemblance says, J² of all.
func TestResemblance(t *testing.T) {
	word := func(i int) string {
		return fmt.Sprintf("%c%c%c%c%c", 'a'+i%26, 'a'+i/26%26, 'a'+i*7%26, 'a'+i*11%26, 'a'+i/3%26)
	}
	for _, share := range []int{50, 80, 95} { // percent of words in both
		total := 0
		const texts = 40
		sum, windowsInBoth, windowsInAny := 0, 0, 0
		for n := range texts {
			var a, b strings.Builder
			for i := range 400 {
				w := word(n*1000 + i)
				a.WriteString(w)
				if i*100 >= share*400 {
					w = word(50_000 + n*1000 + i)
				}
				b.WriteString(w)
			}
			setA, setB := map[uint64]bool{}, map[uint64]bool{}
			windows([]rune(a.String()), func(h uint64, _ rune) bool { setA[h] = true; return true })
			windows([]rune(b.String()), func(h uint64, _ rune) bool { setB[h] = true; return true })
			for h := range setA {
				if setB[h] {
					windowsInBoth++
				}
			}
			windowsInAny += len(setA) + len(setB)
			sum += fuzzy([]rune(a.String())).Common(fuzzy([]rune(b.String())))
			total += bandCount
		}
		j := float64(windowsInBoth) / float64(windowsInAny-windowsInBoth)
		got := float64(sum) / float64(total)
		if d := got - j*j; d > 0.05 || d < -0.05 {
			t.Errorf("resemblance %.3f: %.3f of the bands in common, want %.3f", j, got, j*j)
		}
	}
}

// TestSeldom: a word that stands in the text more often than names do is none.
func TestSeldom(t *testing.T) {
	names := map[string]bool{"anna": true, "bert": true, "carl": true}
	seldom(names, "bert, anna and (bert) or bert-anna; anna\nbert")
	if len(names) != 2 || !names["anna"] || !names["carl"] {
		t.Errorf("names %v", names)
	}
}
