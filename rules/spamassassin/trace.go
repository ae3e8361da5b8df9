package spamassassin

import (
	"regexp"
	"strings"
)

// Words that trace fields of many servers have in common.

var (
	traceDate = regexp.MustCompile(`[\s;]+(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?\d+ (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d+ \d+:\d+(?::\d+)? \S+$`)
	authWord  = regexp.MustCompile(`(?i) with ((?:ES|L|UTF8S|UTF8L)MTPS?A|ASMTP|HTTP[SU]?)(?: |;|$)`)
	viaHTTP   = regexp.MustCompile(`(?i) \(via (HTTP.?)\)(?: |;|$)`)
	authAs    = regexp.MustCompile(`(?:\]\)|\)\]) \(AUTH: (LOGIN|PLAIN|DIGEST-MD5|CRAM-MD5) \S+(?:, .*?)?\) by `)
	authNote  = regexp.MustCompile(`^from .*?(?:\](?: \([^)]*\))?\)|\)\]) .*?\(.*?authenticated.*?\).*? by`)
	authSASL  = regexp.MustCompile(`\) \(Authenticated sender: \S+\) by \S+ \(([^)]+)\) with `)
	authCP    = regexp.MustCompile(`\) by .+ \(\d{1,2}\.\d\.\d{3}(?:\.\d{1,3})?\) \(authenticated as .+\) id `)
	authGMX   = regexp.MustCompile(`from \S* \((?:HELO|EHLO) \S*\) \[[0-9a-fA-F.:]+\] by (mail\.gmx\.(?:net|com)) \([^)]+\) with (E?SMTP)`)
	authGMail = regexp.MustCompile(` by mx\.google\.com with ESMTPS id [a-z0-9]{1,4}sm[0-9]{2,9}[a-z]{3}\.[0-9]{1,3}\.[0-9]{4}\.`)
	tlsNote   = regexp.MustCompile(`\(version=([^ ]+) cipher=([^)]+)\)`)
	envelope  = regexp.MustCompile(`(?i)(?:return-path:? |envelope-(?:sender|from)[ =])(\S+)\b`)
)

// withoutDate cuts the date off a trace field.
func withoutDate(line string) string {
	from := max(0, len(line)-60)
	if at := traceDate.FindStringIndex(line[from:]); at != nil {
		return line[:from+at[0]]
	}
	return line
}

// heloBytes may stand in the name that a client gives.
var heloBytes = wordSet.union(setOf("-.^+&:=?!@%*$\\/"))

// traceWords finds the id, the name given and the server, wherever they stand.
func traceWords(line string, r *relay) {
	for rest := line; ; {
		i := strings.Index(rest, " id ")
		if i < 0 {
			break
		}
		v := strings.TrimPrefix(rest[i+4:], "<")
		end := strings.IndexAny(v, " <>;")
		if end < 0 {
			end = len(v)
		}
		if end >= 3 {
			r.id = v[:end]
			break
		}
		rest = rest[i+4:]
	}
	if v, ok := nameAfter(line, "helo="); ok {
		r.helo = v
	} else if v, ok := nameAfter(line, "HELO "); ok {
		r.helo = v
	} else if v, ok := nameAfter(line, "EHLO "); ok {
		r.helo = v
	}
	for rest := line; ; {
		i := strings.Index(rest, " by ")
		if i < 0 {
			break
		}
		rest = rest[i+4:]
		end := strings.IndexByte(rest, ' ')
		if end < 0 {
			end = len(rest)
		}
		if end > 0 {
			r.by = rest[:end]
			break
		}
	}
}

func nameAfter(line, mark string) (string, bool) {
	for at := 0; ; {
		i := strings.Index(line[at:], mark)
		if i < 0 {
			return "", false
		}
		i += at
		from := i + len(mark)
		end := from
		for end < len(line) && heloBytes.has(line[end]) {
			end++
		}
		if end > from && (i == 0 || !wordSet.has(line[i-1])) {
			return line[from:end], true
		}
		at = from
	}
}

func envelopeOf(line string, r *relay) {
	if !strings.Contains(line, "nvelope-") && !strings.Contains(line, "eturn-") && !strings.Contains(line, "NVELOPE") {
		return
	}
	if m := envelope.FindStringSubmatch(line); m != nil {
		r.envfrom, r.hasEnvfrom = m[1], true
	}
}

// authentication tells how the client authenticated itself, "" if it did not.
func authentication(line string) string {
	by := strings.Contains(line, " by ")
	if by && strings.Contains(line, " with ") || by && strings.Contains(line, " WITH ") {
		if m := authWord.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	if strings.Contains(line, "mx.google.com with ESMTPS") && authGMail.MatchString(line) {
		if m := tlsNote.FindStringSubmatch(line); m != nil {
			return "GMail - transport=" + m[1] + " cipher=" + m[2]
		}
	}
	if strings.Contains(line, "(AUTH: ") {
		if m := authAs.FindStringSubmatch(line); m != nil && strings.HasPrefix(line, "from ") {
			return m[1]
		}
	}
	if strings.Contains(line, "authenticated") && authNote.MatchString(line) {
		return "Sendmail"
	}
	if strings.Contains(line, "mail.gmx.") {
		if m := authGMX.FindStringSubmatch(line); m != nil {
			return "GMX (" + m[2] + " / " + m[1] + ")"
		}
	}
	if strings.Contains(line, " (authenticated as ") && authCP.MatchString(line) {
		return "CriticalPath"
	}
	if strings.Contains(line, "(Authenticated sender: ") {
		if m := authSASL.FindStringSubmatch(line); m != nil {
			if m[1] == "Postfix" {
				return "Postfix"
			}
			return "Postfix (" + m[1] + ")"
		}
	}
	if strings.Contains(line, "CommuniGate Pro ") && strings.Contains(line, " (account ") {
		for _, how := range []string{"HTTP", "SMTP", "XIMSS", "IMAP"} {
			if strings.Contains(line, "CommuniGate Pro "+how) {
				return "Communigate"
			}
		}
	}
	if strings.Contains(line, " with Microsoft Exchange Server HTTP-DAV") {
		return "HTTP-DAV"
	}
	if by && strings.Contains(line, "(via ") {
		if m := viaHTTP.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return ""
}
