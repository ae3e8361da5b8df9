package native

import (
	"strings"
	"testing"
)

func TestPrices(t *testing.T) {
	p, err := ParsePrices("prices.toml", []byte("# fitted\nbias = -4.5\n[points]\nA_B = 1.25 # was 2\nC_D = -0.5\n"))
	if err != nil || p.Bias != -4.5 || len(p.Points) != 2 || p.Points["A_B"] != 1.25 || p.Points["C_D"] != -0.5 {
		t.Errorf("%+v, %v", p, err)
	}
	for text, want := range map[string]string{
		"[points]\nA_B = \"x\"\n":      "prices.toml:",
		"[points]\nA_B = 1\nA_B = 2\n": "prices.toml:3",
		"[points]\nA_B = 11\n":         "prices.toml:2",
		"[points]\nA_B = nan\n":        "prices.toml:2",
		"[prices]\nA_B = 1\n":          "unknown key",
		"bias = inf\n":                 "prices.toml:1",
		"[points\n":                    "prices.toml:",
	} {
		if p, err := ParsePrices("prices.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want an error with %q", text, p, err, want)
		}
	}
}
