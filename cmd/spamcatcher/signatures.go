package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"spamcatcher/signatures"
	"spamcatcher/signatures/unpack/format"
)

// knownSignatures is a set of signatures with the state of the files that it was
// compiled from, so that a reload compiles only what has changed.
type knownSignatures struct {
	*signatures.Set
	builtIn     bool
	directories []string
	stamps      map[string]stamp

	looking sync.Mutex
	seen    map[string]stamp // when looked at last, at, which took so long
	looked  []string
	at      time.Time
	took    time.Duration
}

// builtInSignatures are those inside the program.
func builtInSignatures() (*signatures.Set, error) { return signatures.Load(true, nil) }

// signatureDirectories are those of the configuration, and of the rules that the
// channel brought.
func (c *Config) signatureDirectories() []string {
	list := slices.Clone(c.SignatureDirs)
	if dir := bundleSignatures(c); dir != "" {
		list = append(list, dir)
	}
	return list
}

// loadSignatures compiles what c asks for, unless old is that already.
func loadSignatures(c *Config, old *knownSignatures) (*knownSignatures, error) {
	next := &knownSignatures{builtIn: c.BuiltinSignatures, directories: c.signatureDirectories()}
	next.stamps = stampsBelow(next.directories)
	if old != nil && old.builtIn == next.builtIn && slices.Equal(old.directories, next.directories) && reflect.DeepEqual(old.stamps, next.stamps) {
		return old, nil
	}
	set, err := signatures.Load(next.builtIn, next.directories)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: signatures.directories: %w", c.origins["signatures.directories"], err)}
	}
	next.Set = set
	return next, nil
}

// maxProblems bounds what is said of files of signatures.
const maxProblems = 10

// A signatureWarning is about signatures, among warnings about other files.
type signatureWarning struct{ error }

// warnings are what an administrator must know of the signatures in force.
func (k *knownSignatures) warnings() []error {
	var list []error
	if why := k.Unavailable(); why != nil && (k.builtIn || len(k.directories) > 0) {
		list = append(list, fmt.Errorf("YARA signatures are unavailable: %w; hashes and test files are still looked for", why))
	}
	r := k.Report()
	for i, p := range r.Problems {
		if i == maxProblems {
			list = append(list, fmt.Errorf("signatures: %d more problems (spamcatcher signatures check shows them)", len(r.Problems)-i))
			break
		}
		list = append(list, fmt.Errorf("signatures: %s", problemText(p.File, p.Line, p.Msg)))
	}
	if len(r.Skipped) > 0 {
		n := 0
		for _, of := range r.Skipped {
			n += of
		}
		list = append(list, fmt.Errorf("signatures: %d of ClamAV's cannot be translated: %s", n, reasonsText(r.Skipped)))
	}
	for i := range list {
		list[i] = signatureWarning{list[i]}
	}
	return list
}

func problemText(file string, line int, msg string) string {
	if line > 0 {
		return fmt.Sprintf("%s:%d: %s", file, line, msg)
	}
	return file + ": " + msg
}

// reasonsText lists counts by reason.
func reasonsText(counts map[string]int) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[reason], reason))
	}
	return strings.Join(parts, ", ")
}

// unpackLimits are the limits of c; zero where the default is meant.
func (c *Config) unpackLimits() format.Limits {
	return format.Limits{Depth: c.UnpackDepth, Members: c.UnpackMembers, Bytes: c.UnpackBytes, MemberBytes: c.UnpackMemberBytes, Ratio: int64(c.UnpackRatio), Time: c.UnpackTime, Run: newDecoders().run}
}

// stampsBelow are the states of the files of signatures in directories.
func stampsBelow(directories []string) map[string]stamp {
	stamps := map[string]stamp{}
	for _, dir := range directories {
		root, err := filepath.EvalSymlinks(dir)
		if err != nil {
			continue
		}
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !signatures.Reads(path) {
				return nil
			}
			if info, err := os.Stat(path); err == nil {
				stamps[path] = stamp{info.Size(), info.ModTime()}
			}
			return nil
		})
	}
	return stamps
}

// now is the state of the files that k would be compiled from. To look at many
// files takes long, so that a recent look stands for fifty times as long as it took.
func (k *knownSignatures) now(c *Config) map[string]stamp {
	directories := c.signatureDirectories()
	k.looking.Lock()
	defer k.looking.Unlock()
	if k.seen == nil || !slices.Equal(k.looked, directories) || time.Since(k.at) > 50*k.took {
		k.at = time.Now()
		k.seen, k.looked = stampsBelow(directories), directories
		k.took = time.Since(k.at)
	}
	return k.seen
}

// lost says why next must not take the place of k while mail flows, if so: files
// that are being replaced look for a moment like signatures that are no longer
// wanted.
func (k *knownSignatures) lost(next *knownSignatures) error {
	if k.builtIn != next.builtIn || !slices.Equal(k.directories, next.directories) {
		return nil
	}
	if n, m := len(k.stamps), len(next.stamps); 2*m < n {
		return fmt.Errorf("signatures: %d of %d files are left in %s (restart if that is meant)", m, n, strings.Join(k.directories, ", "))
	}
	before, after := k.Report(), next.Report()
	if n, m := before.Rules+before.Hashes, after.Rules+after.Hashes; 2*m < n {
		return fmt.Errorf("signatures: %d of %d are left in %s (restart if that is meant)", m, n, strings.Join(k.directories, ", "))
	}
	return nil
}

// retire frees signatures that are no longer in force, when no mail can be under
// way with them.
func (s *service) retire(k *knownSignatures, patience time.Duration) {
	time.AfterFunc(2*patience, k.Close)
}
