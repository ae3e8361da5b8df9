package message

import "testing"

func TestFold(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"Viagra", "viagra"},
		{"\u0421\u0430sh", "cash"},                           // Cyrillic Es, a
		{"v\u0456\u0430gr\u0430", "viagra"},                  // Cyrillic i, a
		{"\uff26\uff32\uff25\uff25", "free"},                 // full width
		{"\U0001d5d9\U0001d5ff\U0001d5f2\U0001d5f2", "free"}, // mathematical
		{"f\u200br\u00ade\ufeffe", "free"},                   // zero width, soft hyphen
		{"f\u0300r\u0335e\u0301e", "free"},                   // marks
		{"fr\u00e9\u00e8", "free"},
		{"\ufb01ne", "fine"}, // ligature
		{"\u24d5\u24e1ee", "free"},
		{"\U0001f1eb\U0001f1f7ee", "free"},
		{"\U0001f175\U0001f181ee", "free"},
		{"\u039f\u03a1\u0395N", "open"}, // Greek capitals
		{"\u2018x\u2019 \u2013", "'x' -"},
		{"\u304c", "\u304c"},             // ga stays one kana
		{"\u304b\u3099", "\u304c"},       // and is made one
		{"\ud55c\uae00", "\ud55c\uae00"}, // Hangul stays
		{"\uff76", "\u30ab"},             // half-width kana
		{"\u0915\u093f", "\u0915\u093f"}, // vowel sign stays
		{"\u2460", "1"},
		{"100%", "100%"},
		{"", ""},
	} {
		if got := Fold(c.in); got != c.out {
			t.Errorf("%q folds to %q, expected %q", c.in, got, c.out)
		}
	}
}
