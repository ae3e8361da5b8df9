package unpack

import (
	"regexp"
	"slices"
	"strings"

	"spamcatcher/engine/message"
)

// Senders of encrypted archives write the password into the message: in the text,
// the subject, or the archive's name. In which order words are tried:
//
//  1. what stands behind a word for password and a colon or equals sign;
//  2. what stands behind such a word and a verb ("is", "lautet", "es"), or in
//     quotation marks;
//  3. what follows such a word at once and has a digit in it.
//
// A word is tried without the punctuation around it first, and then as it stands.

// maxPasswords bounds the words that one message gives.
const maxPasswords = 15

// maxWords is how many bytes of text are looked at.
const maxWords = 64 << 10

// keyword is the word for password in the languages that mail is written in; code
// and PIN are as good.
const keyword = `(?:pass ?words?|pass ?wort|kennwort|pass ?codes?|passwd|pass ?phrase|pass ?key|pwd|pw|pass|pin|codes?|key|contrase(?:ñ|n)a|clave|senha|palavra-passe|mot de passe|mdp|code d'acc(?:è|e)s|parol(?:a|ă|o|e)?|(?:ş|s)ifre|has(?:ł|l)o|heslo|wachtwoord|l(?:ö|o)senord|adgangskode|passord|salasana|jelsz(?:ó|o)|m(?:ậ|a)t kh(?:ẩ|a)u|kata sandi|пароль|пароля|код|κωδικ(?:ό|ο)ς|密码|密碼|口令|解压码|パスワード|비밀번호|암호|كلمة المرور|كلمة السر|סיסמה|סיסמא)`

// word is what a password is made of, at most 64 characters.
const word = `["'«»„“”‘’` + "`" + `<\[(*_]{0,2}([^\s"«»„“”` + "`" + `]{1,64})`

var patterns = []*regexp.Regexp{
	regexp.MustCompile(`(?i)(?:^|[^\pL])` + keyword + `(?:[ \t][^\n:=：]{0,40})?[ \t]*[:=：][\s*_]{0,6}` + word),
	regexp.MustCompile(`(?i)(?:^|[^\pL])` + keyword + `(?:[ \t][^\n:=：]{0,40}?)?(?:[ \t]+(?:is|ist|lautet|lautete|es|est|é|è|är|er|jest|je|on|это|[-–—])[ \t\n]+|[为是は]\s*)` + word),
	regexp.MustCompile(`(?i)(?:^|[^\pL])` + keyword + `(?:[ \t][^\n:=："'«„“‘]{0,40})?["'«„“‘]([^\n"'»“”’]{1,64})["'»“”’]`),
	regexp.MustCompile(`(?i)(?:^|[^\pL])` + keyword + `[ \t(\[-]{1,3}([^\s]{0,63}[0-9][^\s]{0,63})`),
}

// passwords are the words that m may give as the password of an archive in it, the
// likeliest first, at most maxPasswords.
func passwords(m *message.Message) []string {
	text := m.Text()
	if cut := min(len(text), maxWords); cut < len(text) {
		text = text[:cut]
	}
	names := strings.Builder{}
	for _, p := range m.Parts() {
		if p.Name != "" && names.Len() < 4096 {
			name := p.Name
			if dot := strings.LastIndexByte(name, '.'); dot > 0 {
				name = name[:dot]
			}
			names.WriteString(strings.NewReplacer("_", " ", "-", " ", "(", " ", ")", " ").Replace(name))
			names.WriteByte('\n')
		}
	}
	var found []string
	add := func(w string) {
		if w != "" && len(found) < maxPasswords && !slices.Contains(found, w) {
			found = append(found, w)
		}
	}
	for _, where := range []string{text, names.String()} {
		for _, p := range patterns {
			for _, hit := range p.FindAllStringSubmatch(where, 8) {
				add(strings.Trim(hit[1], `.,;:!?"'«»„“”‘’<>()[]*_`+"`"))
				add(hit[1])
			}
		}
	}
	return found
}
