package update

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Names in the directory.
const (
	lockFile    = "lock"
	currentFile = "current.json"
	stateFile   = "state.json"
	versionsDir = "versions"
	filesDir    = "files"
	digestsFile = "digests.json"
	tempPrefix  = ".new-"
)

// keep is how many bundles are kept besides the one in force.
const keep = 2

// maxState bounds the files that are read of the directory, in bytes.
const maxState = 4 << 20

// ErrLocked: another process is changing the directory.
var ErrLocked = errors.New("another process is looking for updates, or taking one back")

// current is what current.json holds. Replacing it is the one moment at which
// another bundle comes into force.
type current struct {
	Version  int64     `json:"version"` // 0: none, what the program has inside
	Previous []int64   `json:"previous,omitempty"`
	Floor    int64     `json:"floor"` // the highest version ever adopted
	Since    time.Time `json:"since"`
}

// A Refusal is why a version is not in force.
type Refusal struct {
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
	Final  bool      `json:"final"`           // it is not looked at again
	Again  time.Time `json:"again,omitzero"`  // when it is, at the earliest, if not Final
	Tries  int       `json:"tries,omitempty"` // how often it was refused
}

// maxRefused bounds the refusals that are remembered; the highest stay.
const maxRefused = 20

// state is what state.json holds.
type state struct {
	Checked  time.Time         `json:"checked"`         // the last question
	Heard    time.Time         `json:"heard"`           // the last good answer, or the first question
	Error    string            `json:"error,omitempty"` // what went wrong the last time
	Failures int               `json:"failures,omitempty"`
	URL      string            `json:"url,omitempty"` // that ETag and Modified are of
	ETag     string            `json:"etag,omitempty"`
	Modified string            `json:"modified,omitempty"`
	Offered  int64             `json:"offered,omitempty"` // the version of that manifest
	Floor    int64             `json:"floor"`             // a copy of current's
	Refused  map[int64]Refusal `json:"refused,omitempty"`
	// Circumstances are those that Refused was said under.
	Circumstances string `json:"circumstances,omitempty"`
}

func (s *state) refuse(version int64, r Refusal) {
	if s.Refused == nil {
		s.Refused = map[int64]Refusal{}
	}
	s.Refused[version] = r
	for len(s.Refused) > maxRefused {
		delete(s.Refused, slices.Min(slices.Collect(maps.Keys(s.Refused))))
	}
}

// A Bundle is one that was adopted: verified, unpacked and whole.
type Bundle struct {
	Manifest
	Dir   string    // of its files: rules, signatures, model.bin
	Since time.Time // when it came into force
	// OldKey says that the key it is signed with is none of those configured any
	// more. It was when the bundle was adopted, and the files are as they were.
	OldKey bool
}

// CurrentFile is the file in dir that changes whenever another bundle, or none,
// comes into force.
func CurrentFile(dir string) string { return filepath.Join(dir, currentFile) }

// Open finds the bundle in force in dir: the current one, or the newest of those
// before it where that is damaged. nil is what the program has inside. The
// problems say why a newer one is not used; with a directory that does not exist
// there are none. Open changes nothing, and needs no lock.
func Open(dir string, keys Keys) (*Bundle, []error) {
	c, problems := readCurrent(dir, keys)
	for _, version := range append([]int64{c.Version}, c.Previous...) {
		if version == 0 {
			break
		}
		b, err := verifyStored(dir, version, keys)
		if err == nil {
			b.Since = c.Since
			return b, problems
		}
		problems = append(problems, fmt.Errorf("the rules of version %d cannot be used: %w", version, err))
	}
	return nil, problems
}

func versionDir(dir string, version int64) string {
	return filepath.Join(dir, versionsDir, strconv.FormatInt(version, 10))
}

// readCurrent reads current.json. Where it is damaged, the bundles that are there
// and whole stand in for it, the newest first, and the highest version known from
// anywhere is the floor.
func readCurrent(dir string, keys Keys) (current, []error) {
	var c current
	err := readJSON(filepath.Join(dir, currentFile), &c)
	if err == nil && (c.Version < 0 || c.Floor < c.Version || len(c.Previous) > keep || slices.ContainsFunc(c.Previous, func(v int64) bool { return v < 1 || v > c.Floor })) {
		err = fmt.Errorf("%s: makes no sense", currentFile)
	}
	if err == nil {
		return c, nil
	}
	known, _ := readState(dir) // both damaged: what is stored tells the floor
	if errors.Is(err, fs.ErrNotExist) && known.Floor == 0 {
		return current{}, nil // nothing was ever adopted, though a process may have been about to
	}
	c = current{Floor: known.Floor}
	for _, version := range stored(dir) {
		c.Floor = max(c.Floor, version)
		if _, err := verifyStored(dir, version, keys); err == nil && len(c.Previous) < keep+1 {
			c.Previous = append(c.Previous, version)
		}
	}
	if len(c.Previous) > 0 {
		c.Version, c.Previous = c.Previous[0], c.Previous[1:]
	}
	return c, []error{fmt.Errorf("which rules are in force is not known any more, so the newest are: %w", err)}
}

// stored are the versions that have a directory, the highest first.
func stored(dir string) []int64 {
	entries, err := os.ReadDir(filepath.Join(dir, versionsDir))
	if err != nil {
		return nil
	}
	var list []int64
	for _, e := range entries {
		if v, err := strconv.ParseInt(e.Name(), 10, 64); err == nil && v > 0 && strconv.FormatInt(v, 10) == e.Name() {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, func(a, b int64) int { return cmp.Compare(b, a) })
	return list
}

func readState(dir string) (state, error) {
	var s state
	err := readJSON(filepath.Join(dir, stateFile), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	for version := range s.Refused {
		if version < 1 || version > 1<<53 {
			delete(s.Refused, version)
		}
	}
	s.Failures = min(max(s.Failures, 0), 1000)
	return s, nil
}

func readJSON(name string, into any) error {
	text, err := readBounded(name, maxState)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}

// digests are the SHA-256 of every file of a bundle, by path below files, as it
// was unpacked.
type digests struct {
	Bundle   string            `json:"bundle"`   // SHA-256 of the bundle they are of
	Manifest string            `json:"manifest"` // and of its manifest
	Files    map[string]string `json:"files"`
}

// verifyStored finds out whether a bundle that was adopted is still what it was:
// its manifest signed, and every file as it was unpacked, none more or less. A
// signature by a key that is not configured any more was verified when it was; the
// digest of the manifest stands for it.
func verifyStored(dir string, version int64, keys Keys) (*Bundle, error) {
	dir = versionDir(dir, version)
	text, err := readBounded(filepath.Join(dir, manifestFile), maxManifest)
	if err != nil {
		return nil, err
	}
	signature, err := readBounded(filepath.Join(dir, signatureFile), maxSignature)
	if err != nil {
		return nil, err
	}
	err = keys.verify(text, signature)
	oldKey := errors.Is(err, errForeign)
	if err != nil && !oldKey {
		return nil, err
	}
	m, err := parseManifest(text)
	if err != nil {
		return nil, err
	}
	if m.Version != version {
		return nil, fmt.Errorf("its manifest is that of version %d", m.Version)
	}
	var d digests
	if err := readJSON(filepath.Join(dir, digestsFile), &d); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	if d.Bundle != m.SHA256 || oldKey && d.Manifest != hex.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("%s is of another bundle", digestsFile)
	}
	found, err := digestTree(filepath.Join(dir, filesDir))
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if found[name] != d.Files[name] {
			return nil, fmt.Errorf("%s is not what it was", name)
		}
	}
	if len(found) != len(d.Files) {
		return nil, fmt.Errorf("it has %d files, not %d", len(found), len(d.Files))
	}
	return &Bundle{Manifest: m, Dir: filepath.Join(dir, filesDir), OldKey: oldKey}, nil
}

// maxStored bounds what is read of a bundle that was adopted, in bytes: more is
// not what was unpacked.
const maxStored = 1 << 30

// digestTree is the SHA-256 of every file below dir, by its path with slashes.
func digestTree(dir string) (map[string]string, error) {
	sums := map[string]string{}
	left := int64(maxStored)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%s is no plain file", path)
		}
		f, err := openRegular(path)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		n, err := io.Copy(h, io.LimitReader(f, left+1))
		if err != nil {
			return err
		}
		if left -= n; left < 0 {
			return fmt.Errorf("%s: more than %d bytes of files", path, int64(maxStored))
		}
		name, err := filepath.Rel(dir, path)
		sums[filepath.ToSlash(name)] = hex.EncodeToString(h.Sum(nil))
		return err
	})
	return sums, err
}

// lock makes dir if need be and keeps other processes from changing it.
func lock(dir string) (unlock func(), err error) {
	who := ownerOf(filepath.Dir(filepath.Clean(dir)))
	if err := makeDir(dir, who); err != nil {
		return nil, err
	}
	if err := makeDir(filepath.Join(dir, versionsDir), who); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if err := who.give(f); err != nil {
		f.Close()
		return nil, err
	}
	for {
		switch err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case nil:
			return func() { f.Close() }, nil
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
			err = ErrLocked
		}
		f.Close()
		return nil, err
	}
}

// adopt puts the bundle that was unpacked in temp into force, and returns what
// current.json says then.
func adopt(dir, temp string, version int64, c current, now time.Time) (current, error) {
	place := versionDir(dir, version)
	// What is there is damaged, or was never adopted.
	if err := os.RemoveAll(place); err != nil {
		return c, err
	}
	if err := os.Rename(temp, place); err != nil {
		return c, err
	}
	if err := syncDir(filepath.Dir(place)); err != nil {
		return c, err
	}
	next := current{Version: version, Floor: max(version, c.Floor), Since: now}
	for _, old := range append([]int64{c.Version}, c.Previous...) {
		if old != 0 && old != version && len(next.Previous) < keep {
			next.Previous = append(next.Previous, old)
		}
	}
	return next, writeJSON(filepath.Join(dir, currentFile), next)
}

// prune removes what nobody will ask for: bundles that are no longer kept, and
// what a process that ended left behind.
func prune(dir string, c current) error {
	entries, err := os.ReadDir(filepath.Join(dir, versionsDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		v, err := strconv.ParseInt(e.Name(), 10, 64)
		if err == nil && (v == c.Version || slices.Contains(c.Previous, v)) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, versionsDir, e.Name())); err != nil {
			return err
		}
	}
	old, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	for _, name := range old {
		err = errors.Join(err, os.RemoveAll(name))
	}
	return err
}

// writeJSON replaces a file so that after a crash the old or the new one is there
// as a whole.
func writeJSON(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return replace(name, append(text, '\n'), 0o600, ownerOf(filepath.Dir(name)))
}

// replace puts data in the place of a file, which is given to who.
func replace(name string, data []byte, mode os.FileMode, who owner) error {
	f, err := os.CreateTemp(filepath.Dir(name), tempPrefix+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails when all went well
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = who.give(f)
	}
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
