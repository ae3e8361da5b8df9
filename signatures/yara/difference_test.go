//go:build cgo

package yara

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGroupsFindWhatOneSetFinds compares the groups with all rules in one, over
// data that has pieces of the rules' own strings in it, behind the beginnings of
// many types.
func TestGroupsFindWhatOneSetFinds(t *testing.T) {
	own := []Source{{"own.yar", `import "pe" import "elf" import "dotnet"
		private rule mz { condition: uint16(0) == 0x5A4D }
		rule a { condition: mz and filesize > 1 } rule b { condition: not mz } rule c { condition: pe.is_pe } rule d { condition: not pe.is_pe }
		rule e { condition: pe.number_of_sections == 0 } rule f { condition: pe.exports("x") == 0 } rule g { condition: not pe.exports("x") }
		rule h { condition: elf.machine == 3 or uint32be(0) == 0x504B0304 } rule i { condition: kind == "macro" } rule j { condition: kind != "mail" and mz or kind == "part" }
		rule k { condition: not pe.number_of_signatures > 0 } rule l { condition: dotnet.version == "" } rule m { condition: pe.machine < 9999999 }
		rule n { condition: a or i } rule o { condition: b and not i } rule p { condition: pe.timestamp >= 0 or uint8(0) == 0x50 }`}}
	sets := map[string][]Source{"own": own}
	dir := os.Getenv("SPAMCATCHER_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	for _, name := range []string{"reversinglabs", "signature-base"} {
		if testing.Short() {
			break
		}
		if sources, problems := Read(filepath.Join(dir, "suites", "yara", name)); len(problems) == 0 {
			sets[name] = sources
		} else {
			t.Logf("SKIPPED the set %s: set SPAMCATCHER_SHARED to the directory that has suites/yara", name)
		}
	}
	for name, sources := range sets {
		groups, problems, err := Compile(sources)
		if err != nil {
			t.Fatal(err, problems)
		}
		defer groups.Close()
		whole, wrong, err := compileBundles([]bundle{{sources: sources}})
		if err != nil || wrong != nil {
			t.Fatal(wrong, err)
		}
		one := newRules(whole, sources)
		defer one.Close()
		if len(groups.groups) < 2 || groups.Len() > one.Len() {
			t.Errorf("%s: %d groups, %d rules of %d", name, len(groups.groups), groups.Len(), one.Len())
		}
		random := rand.New(rand.NewPCG(1, 2))
		hits, scans, rounds := 0, 0, 100
		if name == "own" {
			rounds = 400
		}
		for range rounds {
			data := material(random, sources)
			facts := Facts{Kind: []string{"mail", "part", "member", "macro", ""}[random.IntN(5)], Name: "a.exe", Extension: "exe"}
			a, err := groups.Scan(context.Background(), data, facts, 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			b, err := one.Scan(context.Background(), data, facts, 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			scans++
			hits += len(b)
			if x, y := sorted(a), sorted(b); !slices.Equal(x, y) && len(x) < maxMatches {
				t.Errorf("%s: groups find %v, one finds %v, in %.60q (%s)", name, x, y, data, facts.Kind)
			}
		}
		if hits < scans/8 {
			t.Errorf("%s: only %d matches in %d scans", name, hits, scans)
		}
		t.Logf("%s: %d groups and one set agree on %d matches in %d scans", name, len(groups.groups), hits, scans)
	}
}

// TestModulesKnowNothingOfWhatIsNotTheirs is what the groups rely on.
func TestModulesKnowNothingOfWhatIsNotTheirs(t *testing.T) {
	text := `import "pe" import "elf" import "dotnet" import "math" import "hash"`
	for i, term := range []string{
		`pe.number_of_signatures > 0`, `pe.imphash() == "a"`, `pe.imphash() != "a"`, `pe.machine != pe.MACHINE_AMD64`, `pe.machine == 0`, `$a at pe.entry_point`,
		`pe.version_info["a"] contains ""`, `pe.version_info["a"] == ""`, `pe.exports("x")`, `pe.exports("x") == 0`, `pe.imports("x")`, `pe.imports("x", "y") == 0`, `pe.imports("x", 1) == 0`,
		`pe.is_32bit()`, `pe.is_dll() == 0`, `pe.characteristics & pe.DLL`, `pe.section_index("x") == 0`, `pe.section_index(".text") >= 0`, `pe.language(1)`, `pe.locale(1) == 0`,
		`pe.rich_signature.version(1)`, `pe.rich_signature.toolid(1) == 0`, `pe.sections[0].name != ""`, `pe.number_of_sections + 1 > 0`, `pe.timestamp < 0`, `pe.timestamp >= 0`, `pe.overlay.size == 0`,
		`pe.resources[0].type != 0`, `pe.entry_point_raw >= 0`, `pe.rva_to_offset(0) == 0`, `pe.calculate_checksum() == pe.checksum`, `pe.dll_name == ""`, `pe.pdb_path != "x"`,
		`elf.machine != 3`, `elf.number_of_sections == 0`, `elf.sections[0].size == 0`, `elf.type == elf.ET_EXEC`, `elf.entry_point >= 0`,
		`dotnet.version != ""`, `dotnet.number_of_streams == 0`, `dotnet.streams[0].name != ""`, `dotnet.guids[0] != ""`, `dotnet.typelib == ""`, `dotnet.assembly.name == ""`,
		`math.entropy(pe.entry_point, 10) >= 0.0`, `hash.md5(0, pe.number_of_sections) != ""`, `for any i in (0..pe.number_of_signatures) : (i >= 0)`, `for all i in (0..pe.number_of_sections - 1) : (i < 0)`,
	} {
		for j, negated := range []string{"", "not "} {
			if negated == "" || !strings.HasPrefix(term, "for") && !strings.HasPrefix(term, "$") {
				use := ""
				if strings.Contains(term, "$a") {
					use = `strings: $a = "x" `
				}
				text += fmt.Sprintf("\nrule r%d_%d { %scondition: %s%s }", i, j, use, negated, term)
			}
		}
	}
	whole, wrong, err := compileBundles([]bundle{{sources: []Source{{"modules.yar", text}}}})
	if err != nil || wrong != nil {
		t.Fatal(wrong, err)
	}
	r := newRules(whole, []Source{{File: "modules.yar"}})
	defer r.Close()
	if r.Len() < 90 {
		t.Errorf("only %d rules", r.Len())
	}
	for _, data := range []string{"", "x", "xText of a letter that is no program.", "<html>", strings.Repeat("x", 5000), "PK\x03\x04", "xMZ\x90", "\x7fEL"} {
		if got, err := r.Scan(context.Background(), []byte(data), Facts{}, time.Second); err != nil || len(got) > 0 {
			t.Errorf("%.20q matches %s, %v", data, names(got), err)
		}
	}
}

func sorted(matches []Match) []string {
	var list []string
	for _, m := range matches {
		list = append(list, m.File+":"+m.Rule)
	}
	slices.Sort(list)
	return list
}

// material is data of some type's beginning and strings of a random source.
func material(random *rand.Rand, sources []Source) []byte {
	head := make([]byte, 0x100)
	copy(head, []string{"MZ", "\x7fELF\x01\x01\x01", "PK\x03\x04", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "{\\rtf1", "<html>", "", "L\x00\x00\x00\x01\x14\x02\x00"}[random.IntN(8)])
	if head[0] == 'M' && random.IntN(3) > 0 {
		binary.LittleEndian.PutUint32(head[0x3c:], 0x80)
		copy(head[0x80:], "PE\x00\x00\x4c\x01\x01\x00")
		binary.LittleEndian.PutUint16(head[0x94:], 0x60)
		binary.LittleEndian.PutUint16(head[0x98:], 0x10b)
	}
	if head[0] == 0x7f {
		copy(head[16:], "\x02\x00\x03\x00\x01\x00\x00\x00")
	}
	data := head
	for range 1 + random.IntN(3) {
		rules, _, _ := pieces(sources[random.IntN(len(sources))].Text)
		if len(rules) == 0 {
			continue
		}
		var names []string
		rule := rules[random.IntN(len(rules))]
		for name := range rule.strings {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if d := rule.strings[name]; d[0].kind == '{' {
				// A hexadecimal string: what is left open is made up.
				data = append(data, made(d[0].text)...)
			} else if d[0].kind == '"' {
				plain := strings.ReplaceAll(strings.Trim(d[0].text, `"`), `\\`, `\`)
				data = append(append(data, plain...), 0)
				for _, c := range []byte(plain) {
					data = append(data, c, 0)
				}
				data = append(data, 0, 0)
			}
		}
	}
	return data
}

// made is data that a hexadecimal string matches, if it is simple.
func made(text string) []byte {
	text = regexp.MustCompile(`//[^\n]*|/\*[^*]*\*/|\[[^\]]*\]|\([^)]*\)|[ \t\r\n{}]`).ReplaceAllString(text, "")
	b, err := hex.DecodeString(strings.ReplaceAll(text, "?", "0"))
	if err != nil {
		return nil
	}
	return b
}
