package yara

import "strings"

// A token is a word, number, string, regular expression or sign of a source.
type token struct {
	kind     byte // 'w' word or number, '"' string, '/' regular expression, '{' hexadecimal string, otherwise the sign
	from, to int  // in the text
	text     string
}

// lex cuts a source into tokens, without comments. ok is false if the text ends
// within something.
func lex(text string) (tokens []token, ok bool) {
	for i := 0; i < len(text); {
		c := text[i]
		from := i
		kind := c
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			i++
			continue
		case strings.HasPrefix(text[i:], "//") || strings.HasPrefix(text[i:], "/*"):
			if i = afterComment(text, i); i < 0 {
				return nil, false
			}
			continue
		case c == '"' || c == '/' && regexFollows(tokens):
			if i = afterQuote(text, i); i < 0 {
				return nil, false
			}
			if c == '/' {
				for i < len(text) && (text[i] == 'i' || text[i] == 's') {
					i++
				}
			}
		case c == '{' && len(tokens) > 0 && tokens[len(tokens)-1].kind == '=':
			if i = afterHex(text, i); i < 0 {
				return nil, false
			}
		case letter(c) || c == '$' || c == '#' || c == '@' || c == '!' && i+1 < len(text) && letter(text[i+1]):
			for i++; i < len(text) && letter(text[i]); i++ {
			}
			kind = 'w'
		case strings.HasPrefix(text[i:], "==") || strings.HasPrefix(text[i:], "!=") || strings.HasPrefix(text[i:], "<=") || strings.HasPrefix(text[i:], ">="):
			// Not '=', after which a brace begins a hexadecimal string.
			kind, i = 'o', i+2
		default:
			i++
			if c == '{' {
				kind = '('
			} else if c == '}' {
				kind = ')'
			}
		}
		tokens = append(tokens, token{kind: kind, from: from, to: i, text: text[from:i]})
	}
	return tokens, true
}

// regexFollows says whether a slash after the tokens begins a regular expression
// and is no division.
func regexFollows(tokens []token) bool {
	if len(tokens) == 0 {
		return false
	}
	switch last := tokens[len(tokens)-1]; last.kind {
	case '=', '(', ',':
		return true
	case 'w':
		return last.text == "matches"
	}
	return false
}

// afterComment returns where a comment that begins at i ends, or -1.
func afterComment(text string, i int) int {
	end, skip := "\n", 0
	if text[i+1] == '*' {
		end, skip = "*/", 2
	}
	j := strings.Index(text[i+2:], end)
	if j < 0 {
		if skip == 0 {
			return len(text)
		}
		return -1
	}
	return i + 2 + j + skip
}

// afterQuote returns where a string or regular expression that begins at i ends,
// or -1.
func afterQuote(text string, i int) int {
	quote := text[i]
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case quote:
			return i + 1
		case '\n':
			return -1
		}
	}
	return -1
}

// afterHex returns where a hexadecimal string that begins at i ends, or -1.
func afterHex(text string, i int) int {
	for i++; i < len(text); i++ {
		switch {
		case text[i] == '}':
			return i + 1
		case strings.HasPrefix(text[i:], "//") || strings.HasPrefix(text[i:], "/*"):
			j := afterComment(text, i)
			if j < 0 {
				return -1
			}
			i = j - 1
		}
	}
	return -1
}

// A piece is one rule of a source.
type piece struct {
	name      string
	from, to  int // in the text
	private   bool
	strings   map[string][]token
	condition []token
	words     map[string]bool // all words of the condition
}

// pieces finds the rules of a source. ok is false if the text cannot be followed,
// or names two rules alike.
func pieces(text string) (list []piece, tokens []token, ok bool) {
	tokens, ok = lex(text)
	if !ok {
		return nil, nil, false
	}
	seen := map[string]bool{}
	for i := 0; i < len(tokens); i++ {
		if tokens[i].text != "rule" || tokens[i].kind != 'w' || i+1 >= len(tokens) || tokens[i+1].kind != 'w' {
			continue
		}
		p := piece{name: tokens[i+1].text, from: tokens[i].from, strings: map[string][]token{}, words: map[string]bool{}}
		for j := i - 1; j >= 0 && (tokens[j].text == "private" || tokens[j].text == "global"); j-- {
			p.from = tokens[j].from
			p.private = p.private || tokens[j].text == "private"
		}
		if seen[p.name] {
			return nil, nil, false
		}
		seen[p.name] = true
		end := p.read(tokens[i+2:])
		if end < 0 {
			return nil, nil, false
		}
		i += 2 + end
		p.to = tokens[i].to
		list = append(list, p)
	}
	return list, tokens, true
}

// read takes the tokens behind a rule's name, and returns the index of its last.
func (p *piece) read(tokens []token) int {
	depth := 0
	section := ""
	for i, t := range tokens {
		switch {
		case t.kind == '(' || t.kind == '[':
			depth++
		case t.kind == ')' || t.kind == ']':
			if depth--; depth == 0 && t.text == "}" {
				if len(p.condition) == 0 {
					return -1
				}
				return i
			} else if depth <= 0 {
				return -1
			}
		case depth == 1 && t.kind == ':' && i > 0 && section != "condition":
			section = tokens[i-1].text
			continue
		}
		switch section {
		case "condition":
			p.condition = append(p.condition, t)
			if t.kind == 'w' {
				p.words[t.text] = true
			}
		case "strings":
			if t.kind == '=' && tokens[i-1].kind == 'w' {
				for j := i + 1; j < len(tokens) && j <= i+3; j++ {
					p.strings[tokens[i-1].text] = append(p.strings[tokens[i-1].text], tokens[j])
				}
			}
		}
	}
	return -1
}
