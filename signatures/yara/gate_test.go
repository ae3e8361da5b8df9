package yara

import (
	"fmt"
	"strings"
	"testing"
)

func TestWhatConditionsNeed(t *testing.T) {
	for condition, want := range map[string]string{
		`uint16(0) == 0x5A4D and $a`:                 `"MZ"`,
		`$a and (uint16(0) == 0x5A4D)`:               `"MZ"`,
		`uint16be(0) == 0x4D5A`:                      `"MZ"`,
		`uint16(0) == 23117`:                         `"MZ"`,
		`uint32(0) == 0x464C457F and filesize < 2MB`: `"\x7fELF"`,
		`uint8(0) == 0x4D`:                           `"M"`,
		`(uint16(0) == 0x5A4D or uint32be(0) == 0x7F454C46) and any of them`: `"MZ" "\x7fELF"`,
		`uint16(0) == 0x5A4D and $a or $b`:                                   ``,
		`uint16(0) == 0x5A4D or $b`:                                          ``,
		`not uint16(0) == 0x5A4D`:                                            ``,
		`not (uint16(0) == 0x5A4D and $a)`:                                   ``,
		`uint16(0) != 0x5A4D`:                                                ``,
		`uint16(2) == 0x5A4D`:                                                ``,
		`uint16(0) == 0x5A4D + 1`:                                            ``,
		`uint16(0) == 0x15A4D`:                                               ``,
		`uint16(0) & 0xFF == 0x5A4D`:                                         ``,
		`for any i in (1..#a) : (uint16(0) == 0x5A4D and @a[i] > 1)`:         ``,
		`for any of them : ($ at 0)`:                                         ``,
		`$mz at 0`:                                                           `"MZ"`,
		`$hex at 0 and $a`:                                                   `"PK\x03\x04"`,
		`$wide at 0`:                                                         ``,
		`$wild at 0`:                                                         ``,
		`$mz at 10`:                                                          ``,
		`$mz`:                                                                ``,
		`pe.is_pe`:                                                           `"MZ"`,
		`pe.is_pe == 0`:                                                      ``,
		`not pe.is_pe`:                                                       ``,
		`pe.imphash() == "abc"`:                                              `"MZ"`,
		`pe.imphash() != "abc"`:                                              `"MZ"`,
		`pe.exports("a") and $a`:                                             `"MZ"`,
		`pe.exports("a") == 0`:                                               `"MZ"`,
		`pe.number_of_sections > 3`:                                          `"MZ"`,
		`pe.number_of_sections != 3`:                                         `"MZ"`,
		`pe.timestamp < 3 or elf.machine == 3`:                               `"MZ" "\x7fELF"`,
		`not (pe.is_dll() or $a)`:                                            ``,
		`not (pe.is_dll() or filesize > 3)`:                                  ``,
		`not pe.number_of_signatures > 0`:                                    `"MZ"`,
		`not $a at pe.entry_point`:                                           ``,
		`$a at pe.entry_point`:                                               `"MZ"`,
		`for any i in (0..pe.number_of_signatures - 1) : (i > 0 or true)`: `"MZ"`,
		`for any i in (1..3) : (pe.sections[i].name == "x" or $a)`:        ``,
		`pe.machine == pe.MACHINE_AMD64`:                                  `"MZ"`,
		`pe.version_info["and"] contains "or"`:                            `"MZ"`,
		`pe.DLL == 0x2000`:                                                ``,
		`kind == "macro"`:                                                 `kind macro`,
		`kind == "macro" and $a or kind == "macro" and $b`:                `kind macro`,
		`kind == "macro" or kind == "script"`:                             `not mail`,
		`kind == "mail" or kind == "script"`:                              ``,
		`kind != "mail" and $a`:                                           `not mail`,
		`kind != "part"`:                                                  ``,
		`kind == "\x6dacro"`:                                              ``,
		`before`:                                                          `"MZ"`,
		`before and $a or before and $b`:                                  `"MZ"`,
		`before or $b`:                                                    ``,
		`true`:                                                            ``,
		`filesize / 2 > 3 and uint16(0) == 0x5A4D`:                        `"MZ"`,
		`filename matches /uint16(0) == or / and uint16(0) == 0x5A4D`:     `"MZ"`,
		`filename == "a or b" and uint16(0) == 0x5A4D`:                    `"MZ"`,
	} {
		source := `import "pe" import "elf" // rule none { condition: true }
/* rule none */ private rule before : a b { meta: s = "rule x { condition: true }" condition: uint16(0) == 0x5A4D }
rule r { meta: a = "}" strings: $mz = "MZ" $wide = "MZ" wide $a = "//" $b = /a\/"[}]/ $hex = { 50 4B // comment }
03 04 } $wild = { 50 ?? } $c = "x" condition: ` + condition + ` } rule after { condition: true }`
		rules, _, ok := pieces(strings.ReplaceAll(source, "// comment }\n", ""))
		if !ok || len(rules) != 3 {
			t.Fatalf("%s: %d rules, %v", condition, len(rules), ok)
		}
		needs := map[string]need{"before": needOf(rules[0].condition, &rules[0], nil)}
		n := needOf(rules[1].condition, &rules[1], needs)
		got := fmt.Sprintf("%q", n.prefixes)
		got = strings.Trim(got, "[]")
		if n.kind != "" {
			got = "kind " + n.kind
		} else if n.notMail {
			got = "not mail"
		}
		if got != want {
			t.Errorf("%s needs %s, want %s", condition, got, want)
		}
	}
}

func TestSourcesThatCannotBeFollowedStayWhole(t *testing.T) {
	for _, text := range []string{
		"", "rule", "rule a {", "rule a { condition: true", `rule a { strings: $a = "x condition: $a }`, "/* rule a { condition: uint16(0)==0x5A4D }",
		"rule a { condition: uint16(0)==0x5A4D } rule a { condition: true }",
		"global rule a { condition: true } rule b { condition: uint16(0)==0x5A4D }",
		"include \"x\" rule b { condition: uint16(0)==0x5A4D }",
		"rule b1 { condition: uint16(0)==0x5A4D } rule c { condition: any of (b*) }",
		"rule a { strings: $a = { 00 condition: uint16(0)==0x5A4D }",
	} {
		list := parts(text)
		if p, ok := list[""]; len(list) != 1 || !ok || p.text != text || p.need.class() != "" {
			t.Errorf("%q fell into %v", text, list)
		}
	}
}

func TestPartsKeepLinesAndWhatTheyName(t *testing.T) {
	text := "import \"pe\"\nimport \"math\"\nprivate rule p { condition: filesize > 1 }\nrule a { condition:\n p and pe.is_pe }\nrule b { condition: p and math.entropy(0, 1) > 1 }\nrule c { condition: true }\n"
	list := parts(text)
	if len(list) != 2 {
		t.Fatalf("%d parts", len(list))
	}
	for class, words := range map[string][2]string{
		"programs": {`import "pe"` + "\n" + strings.Repeat(" ", 13) + "\nprivate rule p { condition: filesize > 1 }\nrule a", "rule b"},
		"":         {`import "math"` + "\nprivate rule p { condition: filesize > 1 }\n", "rule a"},
	} {
		got := list[class].text
		if len(got) != len(text) || strings.Count(got, "\n") != strings.Count(text, "\n") || !strings.Contains(got, words[0]) || strings.Contains(got, words[1]) {
			t.Errorf("part %q is\n%s", class, got)
		}
	}
	if n := list["programs"].need; n.met([]byte("text"), "part") || !n.met([]byte("MZ"), "part") || n.met([]byte("M"), "part") {
		t.Error("the part for programs is for others")
	}
}

func TestARuleThatAsksAboutProgramsAmongOthersIsInTwoParts(t *testing.T) {
	list := parts(`import "pe"
rule a { strings: $a = "x" condition: (uint16(0) == 0x5A4D and pe.imphash() == "y"
 or pe.is_dll() and $a) or $a at pe.entry_point or 2 of them }
rule b { condition: pe.is_dll() or filesize > 3 } rule c { condition: not b }`)
	if got := list[programs].text; !strings.Contains(got, "pe.imphash()") || strings.Contains(got, "rule c") {
		t.Errorf("for programs:\n%s", got)
	}
	rest := list[""].text
	if strings.Contains(rest, "pe.imphash()") || !strings.Contains(rest, "(uint16(0) == 0x5A4D and false ") || !strings.Contains(rest, "or false ") || !strings.Contains(rest, "or false and $a      ") || !strings.Contains(rest, "or 2 of them") || !strings.Contains(rest, "pe.is_dll() or filesize") || !strings.Contains(rest, "import") {
		t.Errorf("for the rest:\n%s", rest)
	}
}

func FuzzParts(f *testing.F) {
	f.Add("rule a { strings: $a = /x/ $b = { 00 } condition: (uint16(0) == 0x5A4D and $a) or not $b } // end")
	f.Add("import \"pe\" private rule b : t { condition: pe.is_pe } /* x */ rule c { condition: b }")
	f.Fuzz(func(t *testing.T, text string) {
		for class, p := range parts(text) {
			if len(p.text) != len(text) || strings.Count(p.text, "\n") != strings.Count(text, "\n") {
				t.Errorf("part %q has other lines", class)
			}
		}
	})
}
