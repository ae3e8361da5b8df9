package clamav

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/signatures/yara"
)

// database writes files into a directory of their own, and reads it.
func database(t testing.TB, files map[string]string) *Set {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// compile compiles a set's rules. Without cgo the test is skipped.
func compile(t testing.TB, sources []yara.Source) *yara.Rules {
	t.Helper()
	if err := yara.Available(); err != nil {
		t.Skipf("what needs libyara is not tested: %v", err)
	}
	r, problems, err := yara.Compile(sources)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		text := ""
		for _, s := range sources {
			if l := strings.Split(s.Text, "\n"); s.File == p.File && p.Line > 0 && p.Line <= len(l) {
				text = l[p.Line-1]
			}
		}
		t.Errorf("does not compile: %s:%d: %s\n%.300s", p.File, p.Line, p.Msg, text)
	}
	t.Cleanup(r.Close)
	return r
}

// scan lists the signatures that match, sorted.
func scan(t testing.TB, r *yara.Rules, data []byte, f yara.Facts) []string {
	t.Helper()
	matches, err := r.Scan(context.Background(), data, f, 10*time.Second)
	if err != nil {
		t.Fatalf("scanning %.80q: %v", data, err)
	}
	var out []string
	for _, m := range matches {
		out = append(out, m.Meta["clamav"].(string))
	}
	slices.Sort(out)
	return out
}

func TestHashes(t *testing.T) {
	a, b, c, d := []byte("the first file"), []byte("the second"), []byte("third"), []byte("one that is fine")
	m, s1, s2 := md5.Sum(a), sha1.Sum(b), sha256.Sum256(c)
	fine := md5.Sum(d)
	fineSHA := sha1.Sum(d)
	s := database(t, map[string]string{
		"a.hdb": fmt.Sprintf("# comment\n\n%x:%d:Win.Test.First-17\r\n%x:%d:Again.First-18\n%x:%d:Too.Big\n", m, len(a), m, len(a), fine, len(d)),
		"b.hsb": fmt.Sprintf("%X:%d:Odd: näme;\"\\ x:73\n%x:*:Any.Size:73:255\nzz:1:bad\n%x:5000000000:Huge\n%x:1:Newer:9999\n%x:1:Older:1:20", s1, len(b), s2, s2, s2, s2),
		"c.sfp": fmt.Sprintf("%x:*:fine\n", fineSHA),
		"d.mdb": "1000:00000000000000000000000000000000:Section\n",
		"e.cvd": "ClamAV-VDB:",
		"f.yar": "rule x { condition: true }",
		"g.cbc": "ClamBC",
	})
	for data, want := range map[string]string{
		string(a): "Win.Test.First-17", string(b): `Odd: näme;"\ x`, string(c): "Any.Size", string(d): "", "other": "", "the first filf": "", "": "",
	} {
		if name, ok := s.Match([]byte(data)); name != want || ok != (want != "") {
			t.Errorf("%q is %q, %v, want %q", data, name, ok, want)
		}
	}
	if !s.Exempt(d) || s.Exempt(a) {
		t.Error("exempt is wrong")
	}
	r := s.Report()
	if r.Hashes != 4 || r.Duplicates != 1 || r.Exempt != 1 || r.Files != 4 {
		t.Errorf("report %+v", r)
	}
	for reason, n := range map[string]int{
		"malformed": 1, "hash of a file of 4 GiB or more": 1, "for a newer ClamAV": 1, "for an older ClamAV": 1,
		"hash of a section of a program": 1, "bytecode": 1, "container of signature files, to be unpacked with sigtool": 1,
	} {
		if r.Skipped[reason] != n {
			t.Errorf("%d skipped for %q, want %d", r.Skipped[reason], reason, n)
		}
	}
	if len(r.Problems) != 2 || r.Problems[0] != (yara.Problem{File: "b.hsb", Line: 3, Msg: "digest is neither MD5, SHA1 nor SHA256"}) || !strings.Contains(r.Problems[1].Msg, "sigtool") {
		t.Errorf("problems %+v", r.Problems)
	}
	if !Suspicious("PUA.Win.Tool") || Suspicious("Win.PUA.Tool") {
		t.Error("suspicious is wrong")
	}
}

// TestTableLikeMap holds the table to what a map says, with hashes that differ in
// little, the same ones twice, and very many names.
func TestTableLikeMap(t *testing.T) {
	m := newMaker(11)
	type key struct {
		size   uint32
		digest string
	}
	var h hashes
	want := map[key]string{}
	random := func() key {
		d := make([]byte, []int{16, 20, 32}[m.IntN(3)])
		d[0], d[len(d)-1] = byte(m.IntN(3)), byte(m.IntN(256))
		d[7] = byte(m.IntN(64))
		size := uint32(1 + m.IntN(4))
		if m.IntN(3) == 0 {
			size = anySize
		}
		return key{size, string(d)}
	}
	added := 0
	for i := range 150000 {
		k := random()
		name := fmt.Sprintf("%x.%d-%d", m.IntN(1<<18), i, m.IntN(10))
		if err := h.add(k.size, []byte(k.digest), []byte(name)); err != nil {
			t.Fatal(err)
		}
		if _, ok := want[k]; !ok {
			want[k] = name
		}
		added++
	}
	if dropped := h.seal(); dropped != added-len(want) || h.len() != len(want) {
		t.Errorf("%d dropped and %d left of %d, want %d left", dropped, h.len(), added, len(want))
	}
	look := func(k key) (string, bool) {
		table := map[int]*table{16: &h.md5, 20: &h.sha1, 32: &h.sha256}[len(k.digest)]
		at, ok := table.find(k.size, []byte(k.digest))
		if ok && !table.wants(k.size) {
			t.Errorf("%x is there, but not wanted", k.digest)
		}
		if !ok {
			return "", false
		}
		return h.names.get(at), true
	}
	misses := 0
	check := func(k key) {
		name, ok := want[k]
		if !ok {
			name, ok = want[key{anySize, k.digest}]
		}
		if !ok {
			misses++
		}
		if got, found := look(k); got != name || found != ok {
			t.Fatalf("%d %x is %q, %v, want %q", k.size, k.digest, got, found, name)
		}
	}
	for k := range want {
		check(k)
	}
	for range 100000 {
		check(random())
	}
	if misses == 0 {
		t.Error("nothing was missing")
	}
}

func TestIgnored(t *testing.T) {
	a := []byte("a file")
	sum := md5.Sum(a)
	line := "B:0:*:4142434445"
	lineSum := md5.Sum([]byte(line))
	s := database(t, map[string]string{
		"z.ign2": fmt.Sprintf("A\nB:%x\nC:%x\n", lineSum, lineSum), "y.ign": "a.ndb:7:D\n",
		"a.hdb": fmt.Sprintf("%x:%d:A\n", sum, len(a)),
		"a.ndb": line + "\nC:0:*:4142434445\nD:0:*:4142434445\n",
	})
	if _, ok := s.Match(a); ok {
		t.Error("an ignored hash matches")
	}
	if text := s.Sources()[0].Text; !strings.Contains(text, `clamav = "C"`) {
		t.Errorf("C, whose line has another MD5, is ignored: %s", text)
	}
	if r := s.Report(); r.Ignored != 3 || r.Translated != 1 || r.Hashes != 0 {
		t.Errorf("report %+v", r)
	}
}

func TestReadBadFiles(t *testing.T) {
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a directory that is not there is no error")
	}
	s := database(t, map[string]string{
		"long.hdb": strings.Repeat("a", 3*longest) + "\n" + strings.Repeat("0", 32) + ":3:Last",
		"many.ndb": strings.Repeat("x\n", 200),
	})
	r := s.Report()
	if r.Hashes != 1 || r.Skipped["malformed"] != 200 || len(r.Problems) != problemsPerFile+1 {
		t.Errorf("hashes %d, skipped %v, %d problems", r.Hashes, r.Skipped, len(r.Problems))
	}
	if p := r.Problems[0]; p.File != "long.hdb" || !strings.Contains(p.Msg, "longer than") {
		t.Errorf("problem %+v", p)
	}
}

func x(s string) string { return hex.EncodeToString([]byte(s)) }

// extendedCases are signatures, a file that each finds, and one that it does not.
var extendedCases = []struct{ line, hit, miss string }{
	{"Plain:0:*:" + x("abcdef"), "..abcdef", "..abcdeF"},
	{"Any:0:*:6162??64" + x("efgh"), "abXdefgh", "abdefgh"},
	{"High:0:*:61626?64" + x("efgh"), "abodefgh", "abpdefgh"},
	{"Low:0:*:6162?364" + x("efgh"), "abCdefgh", "abDdefgh"},
	{"Gap:0:*:" + x("abc") + "{3}" + x("def"), "abc123def", "abc12def"},
	{"Range:0:*:" + x("abc") + "{1-3}" + x("def"), "abc123def", "abcdef"},
	{"AtMost:0:*:" + x("abc") + "{-2}" + x("def"), "abcdef", "abc123def"},
	{"AtLeast:0:*:" + x("abc") + "{2-}" + x("def"), "abc12" + strings.Repeat("x", 5000) + "def", "abc1def"},
	{"Star:0:*:" + x("abc") + "*" + x("def"), "abc" + strings.Repeat("x", 500000) + "def", "defabc"},
	{"Byte:0:*:" + x("abc") + "[1-2]64", "abc12d", "abc123d"},
	{"Choice:0:*:" + x("abc") + "(64|65)" + x("fgh"), "abcefgh", "abcffgh"},
	{"Unequal:0:*:" + x("abc") + "(6465|66|6?3031)" + x("xyz"), "abcj01xyz", "abcdxyz"},
	{"Not:0:*:" + x("abc") + "!(64|65)" + x("fgh"), "abcffgh", "abcdfgh"},
	{"NotFar:0:*:" + x("abc") + "!(64|65)" + x("fgh") + "*" + x("end"), "abcffgh" + strings.Repeat(".", 30000) + "end", "abcdfgh.end"},
	{"At:0:2:" + x("abcdef"), "..abcdef", "...abcdef"},
	{"AtShort:0:1:616263", ".abc", "abc"},
	{"AtNibble:0:1:6?6263", ".obc", ".pbc"},
	{"Shift:0:2,3:" + x("abcdef"), ".....abcdef", "......abcdef"},
	{"End:0:EOF-6:" + x("abcdef"), "...abcdef", "abcdef."},
	{"EndShift:0:EOF-10,2:" + x("abcdef"), "..abcdef..", "..abcdef"},
	{"EndShort:0:EOF-3:616263", "...abc", "abc.."},
	{"Wild:0:*:????" + x("abcdef") + "??", "..abcdef.", "abcdef"},
	{"GapEnds:0:*:{2}" + x("abcdef") + "{1}", "..abcdef.", ".abcdef."},
	{"Gaps:0:*:" + x("abc") + "{2}??{1-2}" + x("def"), "abc12345def", "abc123def"},
	{"Level:0:*:" + x("abcdef") + ":51:255", "abcdef", "abcde"},
	{`Odd"na\me` + "\x01é" + ":0:*:" + x("abcdef"), "abcdef", "abcde"},
	{"Plain:0:*:" + x("same name"), "same name", "same nam"},
	{"PE:1:*:" + x("abcdef"), exe("abcdef"), "abcdef"},
	{"EP:1:EP+2:" + x("abcdef"), exe("..abcdef"), exe(".abcdef")},
	{"Section:1:S0+1:" + x("abcdef"), exe(".abcdef"), exe("..abcdef")},
	{"LastSection:1:SL+1,1:" + x("abcdef"), exe("..abcdef"), exe("...abcdef")},
	{"WholeSection:1:SE0:" + x("abcdef"), exe("......abcdef"), "abcdef" + exe("")},
	{"OLE:2:*:" + x("abcdef"), "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1abcdef", "abcdef"},
	{"HTML:3:*:" + x("<a href=bad>"), "<html><A HREF=bad>", "<a href=bad>"},
	{"HTMLGap:3:*:" + x("<a ") + "*" + x("evil>"), "<html><A \n\t HREF=Evil>", "<html><A HREF=Devi>"},
	{"Mail:4:*:" + x("X-Bad: yes"), "Received: by example.com\nX-Bad: yes\n", "X-Bad: yes"},
	{"ELF:6:*:" + x("abcdef"), "\x7fELFabcdef", "abcdef"},
	{"Text:7:*:" + x("evil code here"), "some EVIL  code\n\nhere", "some evilcode here"},
	{"PDF:10:*:" + x("abcdef"), "%PDF-1.7\nabcdef", "abcdef"},
}

// exe is a small PE program with one section, which begins with code.
func exe(code string) string {
	b := make([]byte, 0x200)
	copy(b, "MZ")
	b[0x3c] = 0x80
	h := b[0x80:]
	copy(h, "PE\x00\x00\x4c\x01\x01\x00")
	h[20], h[22], h[23] = 0xe0, 0x02, 0x01 // size of the optional header, characteristics
	o := h[24:]
	o[0], o[1] = 0x0b, 0x01
	put := func(at int, v uint32) {
		o[at], o[at+1], o[at+2], o[at+3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
	put(4, 0x200)   // size of code
	put(16, 0x1000) // entry point
	put(20, 0x1000)
	put(28, 0x400000) // image base
	put(32, 0x1000)
	put(36, 0x200)
	o[40], o[48] = 4, 4
	put(56, 0x2000)
	put(60, 0x200)
	o[68] = 3
	put(92, 16)
	s := o[0xe0:]
	copy(s, ".text")
	for i, v := range []uint32{0x200, 0x1000, 0x200, 0x200} {
		s[8+4*i], s[9+4*i], s[10+4*i] = byte(v), byte(v>>8), byte(v>>16)
	}
	s[36], s[39] = 0x20, 0x60
	text := make([]byte, 0x200)
	copy(text, code)
	return string(b) + string(text)
}

func facts(data string) yara.Facts {
	f := yara.Facts{Kind: "part"}
	for prefix, kind := range map[string]string{"<html": "text/html", "%PDF": "application/pdf", "Received:": "message/rfc822", "MZ": "application/x-msdownload"} {
		if strings.HasPrefix(data, prefix) {
			f.Type = kind
		}
	}
	return f
}

func TestExtended(t *testing.T) {
	text := ""
	for _, c := range extendedCases {
		text += c.line + "\n"
	}
	s := database(t, map[string]string{"a.ndb": text})
	if r := s.Report(); r.Translated != len(extendedCases) || len(r.Skipped) > 0 {
		t.Fatalf("report %+v", r)
	}
	r := compile(t, s.Sources())
	for _, c := range extendedCases {
		name, _, _ := strings.Cut(c.line, ":")
		if got := scan(t, r, []byte(c.hit), facts(c.hit)); !slices.Contains(got, name) {
			t.Errorf("%.80s does not find %.40q: %v", c.line, c.hit, got)
		}
		if got := scan(t, r, []byte(c.miss), facts(c.miss)); slices.Contains(got, name) {
			t.Errorf("%.80s finds %.40q: %v", c.line, c.miss, got)
		}
	}
}

var abc = x("alpha1") + ";" + x("beta22") + ";" + x("gamma3")

var logicalCases = []struct{ line, hit, miss string }{
	{"And;Target:0;0&1&2;" + abc, "gamma3 alpha1 beta22", "alpha1 beta22"},
	{"Or;Engine:51-255,Target:0;0|1|2;" + abc, "gamma3", "gamma"},
	{"Mixed;Target:0;(0|1)&2;" + abc, "gamma3 alpha1", "beta22 alpha1"},
	{"Right;Target:0;0&1|2;" + abc, "alpha1 gamma3", "gamma3"},
	{"Count;Target:0;0>2;" + abc, "alpha1 alpha1 alpha1", "alpha1 alpha1"},
	{"Exactly;Target:0;0=2&1;" + abc, "alpha1 alpha1 beta22", "alpha1 beta22"},
	{"Never;Target:0;0&1=0;" + abc, "alpha1", "alpha1 beta22"},
	{"Few;Target:0;0&1<2;" + abc, "alpha1 beta22", "alpha1 beta22 beta22"},
	{"Block;Target:0;(0|1|2)>2,2;" + abc, "alpha1 alpha1 beta22", "alpha1 alpha1 alpha1"},
	{"BlockSum;Target:0;(0|1)=3;" + abc, "alpha1 alpha1 beta22", "alpha1 beta22"},
	{"Both;Target:0;(0&1)>2;" + abc, "alpha1 alpha1 beta22", "alpha1 alpha1 alpha1"},
	{"NotBoth;Target:0;2&(0&1)=0;" + abc, "gamma3 alpha1", "gamma3 alpha1 beta22"},
	{"NotAny;Target:0;2&(0|1)=0;" + abc, "gamma3", "gamma3 alpha1"},
	{"Size;Engine:51-255,FileSize:10-20,Target:0;0;" + x("alpha1"), "....alpha1", "alpha1"},
	{"Case;Engine:81-255,Target:0;0;" + x("alpha1") + "::i", "ALPHA1", "LPHA1"},
	{"CaseGap;Engine:81-255,Target:0;0;" + x("alpha1") + "{2-4}" + x("beta") + "::i", "ALPHA1..Beta", "ALPHA1.Beta"},
	{"CaseFar;Engine:81-255,Target:0;0;" + x("alpha1") + "*" + x("beta") + "::i", "ALPHA1" + strings.Repeat("\n", 30000) + "Beta", "beta ALPHA1"},
	{"Wide;Engine:81-255,Target:0;0;" + x("alpha1") + "::w", "a\x00l\x00p\x00h\x00a\x001\x00", "alpha1"},
	{"WideBoth;Engine:81-255,Target:0;0;" + x("alpha1") + "::wa", "alpha1", "alph\x00a\x001"},
	{"WideGap;Engine:81-255,Target:0;0;" + x("alph") + "{1}" + x("beta") + "::iwa", "A\x00l\x00p\x00h\x00?b\x00e\x00t\x00a\x00", "alphbeta"},
	{"Whole;Engine:81-255,Target:0;0;" + x("alpha1") + "::f", "(alpha1)", "xalpha1"},
	{"WholeGap;Engine:81-255,Target:0;0;" + x("alpha") + "??" + x("beta") + "::fi", "(ALPHA?Beta)", "xalpha?beta"},
	{"Offset;Target:0;0&1;2:" + x("alpha1") + ";EOF-6:" + x("beta22"), "..alpha1..beta22", "..alpha1.beta22."},
	{"OffsetCount;Target:0;0>1;2,20:" + x("alpha1"), "..alpha1alpha1", "..alpha1alph"},
	{"OffsetFew;Target:0;0<2&1;2,20:" + x("alpha1") + ";" + x("beta22"), "beta22..", "..alpha1alpha1beta22"},
	{"OffsetExactly;Target:0;0=1;2,20:" + x("alpha1"), "..alpha1" + strings.Repeat(".", 20) + "alpha1", "..alpha1alpha1"},
	{"Program;Engine:51-255,Target:1,NumberOfSections:1-2,EntryPoint:500-600;0;EP+0:" + x("alpha1"), exe("alpha1"), exe(".alpha1")},
	{"Perl;Engine:81-255,Target:0;1;" + x("alpha1") + `;0/on(?:load|click)\s*=\s*\x22?window\.(?<what>open|close)[^a-z\]\d]{1,3}?\(/si`, "alpha1 ONCLICK =\"window.open \n(", "onclick=window.open ("},
	{"PerlSlash;Engine:81-255,Target:0;0&1;" + x("alpha1") + `;0/http:\/\/[\w.-]+\/x{2,3}\.exe/`, "alpha1 http://www.example.com/xx.exe", "alpha1 http://www.example.com/x.exe"},
	{"PerlTrigger;Engine:81-255,Target:0;2;" + x("alpha1") + ";" + x("beta22") + `;0&1/evil+/g`, "evilll alpha1 beta22", "evil alpha1"},
	{"HTMLPerl;Engine:81-255,Target:3;0&1;" + x("<script>") + `;0/eval\(unescape/`, "<html><SCRIPT>eval(Unescape", "<html><SCRIPT>eval(escape"},
	{"PUA.Some;Target:0;0;" + x("puppup"), "puppup", "pup"},
}

func TestLogical(t *testing.T) {
	text, n := "", 0
	for _, c := range logicalCases {
		text += c.line + "\n"
		n++
	}
	s := database(t, map[string]string{"a.ldb": text})
	if r := s.Report(); r.Translated != n || len(r.Skipped) > 0 {
		t.Fatalf("%d of %d; report %+v", r.Translated, n, r)
	}
	if a := s.Report().Approximated; a[farGap] != 1 || a[scanned] != 4 || a[normalised] != 1 {
		t.Errorf("approximated %v", a)
	}
	r := compile(t, s.Sources())
	for _, c := range logicalCases {
		name, _, _ := strings.Cut(c.line, ";")
		if got := scan(t, r, []byte(c.hit), facts(c.hit)); !slices.Contains(got, name) {
			t.Errorf("%.80s does not find %.40q: %v", c.line, c.hit, got)
		}
		if got := scan(t, r, []byte(c.miss), facts(c.miss)); slices.Contains(got, name) {
			t.Errorf("%.80s finds %.40q: %v", c.line, c.miss, got)
		}
	}
	matches, err := r.Scan(context.Background(), []byte("puppup"), yara.Facts{}, time.Second)
	if err != nil || len(matches) != 1 || !slices.Equal(matches[0].Tags, []string{"suspicious"}) {
		t.Errorf("PUA is %+v, %v", matches, err)
	}
}
