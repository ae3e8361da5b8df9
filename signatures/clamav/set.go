package clamav

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"spamcatcher/signatures/yara"
)

// level is the functionality level whose signatures are understood: that of
// ClamAV 1.4. Signatures for engines above or below it are skipped.
const level = 215

// problemsPerFile bounds what one file adds to Report.Problems.
const problemsPerFile = 50

// A Set is what the signature files of a directory say. It never changes, and is
// safe for any number of goroutines.
type Set struct {
	hashes  hashes // malware
	exempt  hashes // files that are not, whatever a signature says
	sources []yara.Source
	report  Report
}

// A Report counts what was read.
type Report struct {
	Files        int            // files read
	Hashes       int            // hash signatures in the table
	Exempt       int            // hashes of files that are exempt
	Translated   int            // body signatures that became YARA rules
	Duplicates   int            // hash signatures that were there already
	Ignored      int            // signatures left out because .ign or .ign2 names them
	Skipped      map[string]int // signatures left out, by reason
	Approximated map[string]int // translated, but not to the letter, by reason
	Problems     []yara.Problem // files that cannot be read and lines that are malformed, at most 50 a file
}

// others says why the files with these extensions are not read.
var others = map[string]string{
	".mdb": "hash of a section of a program", ".mdu": "hash of a section of a program",
	".msb": "hash of a section of a program", ".msu": "hash of a section of a program",
	".imp": "hash of a program's imports",
	".cdb": "names and sizes in a container", ".idb": "icon",
	".pdb": "phishing address", ".wdb": "phishing address", ".gdb": "phishing address",
	".ftm": "file type", ".pwdb": "password",
	".db": "signature format before .ndb", ".zmd": "names and sizes in a container", ".rmd": "names and sizes in a container",
}

// wholes says the same of files that are counted as one.
var wholes = map[string]string{
	".cbc": "bytecode", ".crb": "certificate", ".cat": "certificate", ".cfg": "configuration",
	".cvd": packed, ".cld": packed, ".cud": packed,
}

const packed = "container of signature files, to be unpacked with sigtool"

// Read reads the signature files below dir. It returns an error only if dir itself
// cannot be read; a bad file or line is in the Report, and the others count.
func Read(dir string) (*Set, error) {
	if _, err := os.ReadDir(dir); err != nil {
		return nil, fmt.Errorf("reading signatures: %w", err)
	}
	r := &reader{
		set:     &Set{report: Report{Skipped: map[string]int{}, Approximated: map[string]int{}}},
		ignored: map[string][]string{},
		dir:     dir,
	}
	var files, last []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		switch ext := extension(name); {
		case err != nil:
			r.problem(name, 0, err.Error())
		case entry.IsDir():
		case ext == ".ign" || ext == ".ign2":
			files = append(files, name)
		default:
			last = append(last, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading signatures: %w", err)
	}
	for _, name := range append(files, last...) {
		r.file(name)
	}
	s := r.set
	s.report.Duplicates += s.hashes.seal()
	s.exempt.seal()
	s.report.Hashes, s.report.Exempt = s.hashes.len(), s.exempt.len()
	return s, nil
}

// Match tells the name of the hash signature that data has, and whether there is
// one. It computes only the digests that a signature for files of this size needs.
func (s *Set) Match(data []byte) (name string, ok bool) {
	if name, ok = s.hashes.match(data); ok && s.Exempt(data) {
		return "", false
	}
	return name, ok
}

// Exempt tells whether the set names data as a false positive: then no signature
// counts, of whatever kind. It is for data in which something was found.
func (s *Set) Exempt(data []byte) bool {
	_, ok := s.exempt.match(data)
	return ok
}

// Sources are the rules into which .ndb and .ldb files were translated. The
// signature's own name is in the meta value clamav.
func (s *Set) Sources() []yara.Source { return slices.Clone(s.sources) }

// Forget drops the text of the rules, which nobody needs when they are compiled.
// It must not be called beside Sources.
func (s *Set) Forget() { s.sources = nil }

// Report tells what was read. Its maps must not be changed.
func (s *Set) Report() Report { return s.report }

// Suspicious tells whether a signature's name says that what it finds is unwanted
// rather than malware. Rules of such signatures have the tag suspicious.
func Suspicious(name string) bool {
	return strings.HasPrefix(name, "PUA.") || strings.HasPrefix(name, "Heuristics.")
}

// A reader is the state of Read.
type reader struct {
	set     *Set
	dir     string
	ignored map[string][]string // MD5 of the lines that are meant; none for all
	current string              // file whose problems are counted
	count   int
	line    hashLine
}

func (r *reader) problem(file string, line int, msg string) {
	if file != r.current {
		r.current, r.count = file, 0
	}
	switch r.count++; {
	case r.count < problemsPerFile:
		r.set.report.Problems = append(r.set.report.Problems, yara.Problem{File: r.short(file), Line: line, Msg: msg})
	case r.count == problemsPerFile:
		r.set.report.Problems = append(r.set.report.Problems, yara.Problem{File: r.short(file), Line: line, Msg: msg + "; further problems in this file are only counted"})
	}
}

// short is the name below the directory.
func (r *reader) short(file string) string {
	if rel, err := filepath.Rel(r.dir, file); err == nil {
		return filepath.ToSlash(rel)
	}
	return file
}

func extension(name string) string { return strings.ToLower(filepath.Ext(name)) }

// file reads one file, by its extension.
func (r *reader) file(name string) {
	var each func(line []byte) error
	var done func()
	ext := extension(name)
	switch ext {
	case ".ign", ".ign2":
		each = r.ignore
	case ".hdb", ".hdu", ".hsb", ".hsu":
		each = func(line []byte) error { return r.hash(&r.set.hashes, line) }
	case ".fp", ".sfp":
		each = func(line []byte) error { return r.hash(&r.set.exempt, line) }
	case ".ndb", ".ndu":
		w := newWriter(r.short(name))
		each = func(line []byte) error { return r.body(w, line, extended) }
		done = func() { r.set.sources = append(r.set.sources, w.close()...) }
	case ".ldb", ".ldu":
		w := newWriter(r.short(name))
		each = func(line []byte) error { return r.body(w, line, logical) }
		done = func() { r.set.sources = append(r.set.sources, w.close()...) }
	default:
		if why := wholes[ext]; why != "" {
			r.set.report.Skipped[why]++
			if why == packed {
				r.problem(name, 0, "is a container of signature files; unpack it in this directory with: sigtool --unpack "+filepath.Base(name))
			}
			return
		}
		if others[ext] == "" {
			return // none of ours; .yar and .yara are read by signatures/yara
		}
		each = func([]byte) error { return skip(others[ext]) }
	}
	// Anything but a plain file might never end.
	if info, err := os.Stat(name); err != nil {
		r.problem(name, 0, err.Error())
		return
	} else if !info.Mode().IsRegular() {
		r.problem(name, 0, "is not a regular file")
		return
	}
	r.set.report.Files++
	err := lines(name, func(n int, line []byte) {
		var why skip
		switch err := each(line); {
		case errors.As(err, &why):
			r.set.report.Skipped[string(why)]++
		case err != nil:
			r.set.report.Skipped["malformed"]++
			r.problem(name, n, err.Error())
		}
	})
	if err != nil {
		r.problem(name, 0, err.Error())
	}
	if done != nil {
		done()
	}
}

// ignore reads "name", "name:MD5 of the line", or "file:line:name".
func (r *reader) ignore(line []byte) error {
	f := strings.Split(string(line), ":")
	switch len(f) {
	case 1:
		r.ignored[f[0]] = []string{}
	case 2:
		if _, err := hex.DecodeString(f[1]); err != nil || len(f[1]) != 2*md5.Size {
			return errors.New("what follows the name is not an MD5")
		}
		if old, known := r.ignored[f[0]]; !known || len(old) > 0 {
			r.ignored[f[0]] = append(old, strings.ToLower(f[1]))
		}
	case 3:
		r.ignored[f[2]] = []string{}
	default:
		return errors.New("too many fields")
	}
	return nil
}

// isIgnored tells whether the signature with that name and line is to be left out.
func (r *reader) isIgnored(name, line []byte) bool {
	if len(r.ignored) == 0 {
		return false
	}
	sums, known := r.ignored[string(name)]
	if known && len(sums) > 0 {
		sum := md5.Sum(line)
		known = slices.Contains(sums, hex.EncodeToString(sum[:]))
	}
	if known {
		r.set.report.Ignored++
	}
	return known
}

// hash reads "digest:size:name[:least level[:highest level]]".
func (r *reader) hash(into *hashes, line []byte) error {
	h := &r.line
	if err := h.parse(line); err != nil {
		return err
	}
	if into == &r.set.hashes && r.isIgnored(h.name, line) {
		return nil
	}
	if err := inLevel(h.least, h.highest); err != nil {
		return err
	}
	return into.add(h.size, h.digest, h.name)
}

// body reads a line that becomes a rule.
func (r *reader) body(w *writer, line []byte, translate func(string) (rule, error)) error {
	name := line
	if i := slices.IndexFunc(line, func(b byte) bool { return b == ':' || b == ';' }); i >= 0 {
		name = line[:i]
	}
	if r.isIgnored(name, line) {
		return nil
	}
	t, err := translate(string(line))
	if err != nil {
		return err
	}
	w.add(t)
	r.set.report.Translated++
	for _, a := range t.approximated {
		r.set.report.Approximated[a]++
	}
	return nil
}

// inLevel says whether a signature is for an engine of our level. 0 is no limit.
func inLevel(least, highest int) error {
	switch {
	case least > level:
		return skip("for a newer ClamAV")
	case cmp.Or(highest, level) < level:
		return skip("for an older ClamAV")
	}
	return nil
}

// A skip is the reason why a well-formed signature is left out.
type skip string

func (s skip) Error() string { return string(s) }
