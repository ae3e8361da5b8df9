package match

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"regexp/syntax"
	"testing"
)

// Every byte in every place is made what bytes.ToLower makes of it alone.
func TestLower(t *testing.T) {
	for place := range 8 {
		for c := range 256 {
			for _, around := range []byte{0, '@', 'Z', '[', 0x7F, 0x80, 0xFF} {
				text := bytes.Repeat([]byte{around}, 8)
				text[place] = byte(c)
				want := make([]byte, 8)
				for i, c := range text {
					if want[i] = c; c >= 'A' && c <= 'Z' {
						want[i] += 'a' - 'A'
					}
				}
				var got [8]byte
				binary.LittleEndian.PutUint64(got[:], lower(word64(string(text))))
				if !bytes.Equal(got[:], want) {
					t.Fatalf("lower(%q) = %q, want %q", text, got, want)
				}
			}
		}
	}
}

// What a literal needs is what its characters need, one after the other.
func TestSpelled(t *testing.T) {
	literals := 0
	for _, expr := range []string{
		"a", "abc", "ABC", "12-3", "k", "task", "ß", "straße", "Ω", "weiß nicht", "λογαριασμός", "привет", "日本語", "a long literal of forty-eight bytes, and not more", "\u212a\u017f",
	} {
		for _, flags := range []string{"", "(?i)"} {
			re, err := syntax.Parse(flags+expr, syntax.Perl)
			if err != nil {
				t.Fatal(err)
			}
			if re.Op != syntax.OpLiteral {
				continue
			}
			got, ok := spelled(re)
			if !ok {
				continue
			}
			literals++
			var all []needs
			for _, r := range re.Rune {
				if re.Flags&syntax.FoldCase != 0 {
					all = append(all, runes(orbit(r)))
				} else {
					all = append(all, runes([]rune{r}))
				}
			}
			if want := concat(all); !reflect.DeepEqual(got, want) {
				t.Errorf("%s%s: %+v, want %+v", flags, expr, got, want)
			}
		}
	}
	if literals < 20 {
		t.Errorf("only %d literals were compared", literals)
	}
}

// A literal that goes on in one way only, and those that do not, are found
// wherever they stand.
func TestWideStarts(t *testing.T) {
	literals := []string{"(?i)transfer now", "(?i)transient", "transform", "transformer", "viagra", "viagra online", "(?i)unwrap it", "(?i)maidenly", "paypal-d", "xyzzyq"}
	s, err := Compile(literals)
	if err != nil {
		t.Fatal(err)
	}
	wide := 0
	for _, x := range s.finder.starts[deepest].list {
		if x.node != vacant && x.wide() {
			wide++
		}
	}
	if wide == 0 {
		t.Error("no start is wide")
	}
	difference(t, literals, []string{
		"transfer now and transient", "xxtransformerxx", "transform", "via viagra onlin", "viagra online.", "Please UNWRAP IT here",
		"unwrapped, unwrap my", "unwrapxit unwrap itself", "buy viagra today", "maidenry Maidenly maidenxx", "maidenxx maidens padding", "paypal-default", "paypal-", "xyzzyq", "xyzzyx xyzzyq padding padding",
	})
}
