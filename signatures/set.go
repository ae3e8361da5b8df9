package signatures

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"spamcatcher/signatures/builtin"
	"spamcatcher/signatures/clamav"
	"spamcatcher/signatures/yara"
)

// A Set is all signatures that are looked for, compiled once. It is immutable.
type Set struct {
	rules  *yara.Rules // nil without cgo
	hashes []*clamav.Set
	report Report
	digest string
	why    error // that YARA is not available
}

// A Report says what became of the files of signatures.
type Report struct {
	Rules    int            // YARA rules in force, those translated from ClamAV's form counted
	Hashes   int            // files known by their hash
	Skipped  map[string]int // signatures that are not in force, by reason
	Problems []yara.Problem // what is wrong with files, by name and line
}

// Load reads the built-in signatures, and those in directories: YARA rules (.yar,
// .yara) and ClamAV's signatures (.hdb, .hsb, .ndb, .ldb). A file that cannot be
// used is named in the report, and the others are; a directory that cannot be
// read is an error.
func Load(builtIn bool, directories []string) (*Set, error) {
	s := &Set{report: Report{Skipped: map[string]int{}}, why: yara.Available()}
	var sources []yara.Source
	if builtIn {
		sources = builtin.Sources()
	}
	roots := make([]string, len(directories))
	for i, dir := range directories {
		// A directory may be a link that is turned to another when signatures change.
		dir, err := filepath.EvalSymlinks(dir)
		if err == nil {
			_, err = os.ReadDir(dir)
		}
		if err != nil {
			return nil, fmt.Errorf("reading signatures: %w", err)
		}
		roots[i] = dir
		own, problems := yara.Read(dir)
		s.report.Problems = append(s.report.Problems, problems...)
		sources = append(sources, own...)
		foreign, err := clamav.Read(dir)
		if err != nil {
			return nil, fmt.Errorf("reading signatures: %w", err)
		}
		r := foreign.Report()
		s.report.Hashes += r.Hashes
		s.report.Problems = append(s.report.Problems, r.Problems...)
		for reason, n := range r.Skipped {
			s.report.Skipped[reason] += n
		}
		s.hashes = append(s.hashes, foreign)
		sources = append(sources, foreign.Sources()...)
		foreign.Forget()
	}
	if s.why == nil && len(sources) > 0 {
		rules, problems, err := yara.Compile(sources)
		if err != nil {
			return nil, fmt.Errorf("compiling signatures: %w", err)
		}
		s.rules, s.report.Rules = rules, rules.Len()
		s.report.Problems = append(s.report.Problems, problems...)
	}
	digest, err := digestOf(sources, roots)
	if err != nil {
		return nil, fmt.Errorf("reading signatures: %w", err)
	}
	s.digest = digest
	return s, nil
}

// Files whose text is not among the sources, and those that become sources.
var (
	hashFiles = []string{".hdb", ".hdu", ".hsb", ".hsu", ".fp", ".sfp", ".ign", ".ign2"}
	ruleFiles = []string{".yar", ".yara", ".ndb", ".ndu", ".ldb", ".ldu"}
)

// Reads says whether Load reads a file in a directory, by its name.
func Reads(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return slices.Contains(hashFiles, ext) || slices.Contains(ruleFiles, ext)
}

// digestOf names what a set consists of.
func digestOf(sources []yara.Source, directories []string) (string, error) {
	h := sha256.New()
	for _, s := range sources {
		fmt.Fprintf(h, "%q %q\n", filepath.Base(s.File), s.Text)
	}
	for _, dir := range directories {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !slices.Contains(hashFiles, filepath.Ext(path)) {
				return nil // what cannot be read is named in the report
			}
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
				return nil
			}
			f, err := os.Open(path)
			if err != nil {
				return nil
			}
			defer f.Close()
			fmt.Fprintf(h, "%q\n", filepath.Base(path))
			_, err = io.Copy(h, f)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// Digest names the signatures: equal digests mean equal signatures.
func (s *Set) Digest() string { return s.digest }

// Report says what is in force and what is not.
func (s *Set) Report() Report { return s.report }

// Unavailable says why YARA rules are not looked for, nil if they are.
func (s *Set) Unavailable() error { return s.why }

// Close frees what the set holds outside Go's memory. A mail that is still under
// way with it has the rest of its scans fail.
func (s *Set) Close() {
	if s.rules != nil {
		s.rules.Close()
	}
}

// hash names the file that data is, by its digest.
func (s *Set) hash(data []byte) (name string, ok bool) {
	for _, h := range s.hashes {
		if name, ok = h.Match(data); ok {
			return name, true
		}
	}
	return "", false
}

// exempt says whether a list of false positives has the file that data is.
func (s *Set) exempt(data []byte) bool {
	return slices.ContainsFunc(s.hashes, func(h *clamav.Set) bool { return h.Exempt(data) })
}

// weight says whether a match is malware, and what it is worth if not.
func weight(m yara.Match) (malware bool, points float64) {
	number := func(key string) (int, bool) {
		n, ok := m.Meta[key].(int)
		return n, ok
	}
	switch text, _ := m.Meta["points"].(string); text {
	case "":
		if n, ok := number("points"); ok {
			points = float64(n)
		}
	default:
		fmt.Sscan(text, &points)
	}
	points = cmp.Or(max(-20, min(points, 20)), 1)
	score, scored := number("score")
	certain, said := m.Meta["malware"].(bool)
	return !slices.Contains(m.Tags, "suspicious") && (!scored || score >= 75) && (!said || certain), points
}

// nameOf is what a report calls a match.
func nameOf(m yara.Match) string {
	if name, ok := m.Meta["clamav"].(string); ok && name != "" {
		return name
	}
	return m.Rule
}
