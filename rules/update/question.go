package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

func (c *Channel) ask(ctx context.Context, adopting bool) (m Manifest, outcome Outcome, err error) {
	if adopting {
		unlock, err := lock(c.Dir)
		if err != nil {
			return Manifest{}, "", fmt.Errorf("looking for newer rules: %w", err)
		}
		defer unlock()
	}
	q := &question{Channel: c}
	var problems []error
	q.current, problems = readCurrent(c.Dir, c.Keys)
	q.state, _ = readState(c.Dir) // a damaged one is as good as none: the floor is in current, too
	q.floor = max(q.current.Floor, q.state.Floor)
	if c.Circumstances != nil {
		if now := c.Circumstances(); now != q.state.Circumstances {
			q.state.Refused, q.state.ETag, q.state.Modified, q.state.Offered = nil, "", "", 0
			q.state.Circumstances = now
		}
	}
	if b, _ := Open(c.Dir, c.Keys); q.current.Version != 0 && (b == nil || b.Version != q.current.Version) {
		q.damaged = true
	}
	if !adopting {
		return q.peek(ctx)
	}
	if err := prune(c.Dir, q.current); err != nil {
		return Manifest{}, "", fmt.Errorf("looking for newer rules: %w", err)
	}
	if len(problems) > 0 { // what stands in for current.json is so from now on
		q.current.Floor, q.current.Since = q.floor, c.Now()
		if err := writeJSON(CurrentFile(c.Dir), q.current); err != nil {
			return Manifest{}, "", fmt.Errorf("looking for newer rules: %w", err)
		}
	}
	m, outcome, err = q.answer(ctx)
	if ctx.Err() != nil {
		return m, outcome, err
	}
	if noting := q.note(m, outcome, err); noting != nil && err == nil {
		err = fmt.Errorf("noting what came of looking for newer rules: %w", noting)
	}
	if outcome == Adopted && c.Adopt != nil {
		c.Adopt(m.Version)
	}
	return m, outcome, err
}

// A question to the channel, and what is known before it is asked.
type question struct {
	*Channel
	current current
	state   state
	floor   int64
	damaged bool // the bundle in force is; it may be adopted again

	said validators // of the manifest that was answered
}

// answer asks and adopts.
func (q *question) answer(ctx context.Context) (Manifest, Outcome, error) {
	whole, cancel := context.WithTimeoutCause(ctx, q.Timeout, errTime)
	defer cancel()
	text, signature, m, outcome, err := q.manifest(whole)
	if err != nil || outcome == Unchanged {
		return m, outcome, err
	}
	temp, err := os.MkdirTemp(q.Dir, tempPrefix)
	if err != nil {
		return m, "", fmt.Errorf("making room for newer rules: %w", err)
	}
	defer os.RemoveAll(temp) // fails when all went well
	if err := q.fetch(whole, m, temp); err != nil {
		return m, "", err
	}
	if err := q.seal(m, text, signature, temp); err != nil {
		return m, "", fmt.Errorf("storing newer rules: %w", err)
	}
	if err := q.try(ctx, m, temp); err != nil {
		return m, "", err
	}
	if err := giveTree(temp, ownerOf(q.Dir)); err != nil {
		return m, "", fmt.Errorf("storing newer rules: %w", err)
	}
	next, err := adopt(q.Dir, temp, m.Version, q.current, q.Now())
	if err != nil {
		return m, "", fmt.Errorf("adopting the rules of version %d: %w", m.Version, err)
	}
	if err := prune(q.Dir, next); err != nil { // the next question does it
		q.Log.Info("old rules are not cleaned up", "error", err)
	}
	return m, Adopted, nil
}

// peek asks and tries.
func (q *question) peek(ctx context.Context) (Manifest, Outcome, error) {
	whole, cancel := context.WithTimeoutCause(ctx, q.Timeout, errTime)
	defer cancel()
	q.state.ETag, q.state.Modified = "", "" // the manifest is to be shown
	_, _, m, outcome, err := q.manifest(whole)
	if err != nil || outcome == Unchanged {
		return m, outcome, err
	}
	temp, err := os.MkdirTemp("", "spamcatcher-update-")
	if err != nil {
		return m, "", fmt.Errorf("making room for newer rules: %w", err)
	}
	defer os.RemoveAll(temp)
	if err := q.fetch(whole, m, temp); err != nil {
		return m, "", err
	}
	return m, outcome, q.try(ctx, m, temp)
}

// try tries what was unpacked below temp.
func (q *question) try(ctx context.Context, m Manifest, temp string) error {
	err := q.Try(ctx, filepath.Join(temp, filesDir))
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("trying the rules of version %d: %w", m.Version, ctx.Err())
	case err == nil:
		return nil
	case errors.Is(err, ErrAgain):
		again := time.Hour
		for range min(q.state.Refused[m.Version].Tries, 5) {
			again *= 2
		}
		return &Refused{Version: m.Version, Reason: err.Error(), Again: q.Now().Add(min(again, 24*time.Hour)), cause: err}
	}
	return &Refused{Version: m.Version, Reason: err.Error(), Final: true, cause: err}
}

// refusal is what stands against a version that was refused at an earlier
// question; nil where it may be tried.
func (q *question) refusal(version int64) error {
	r, ok := q.state.Refused[version]
	if !ok || q.Retry || !r.Final && !q.Now().Before(r.Again) {
		return nil
	}
	return &Refused{Version: version, Reason: r.Reason, Final: r.Final, Again: r.Again, Standing: true}
}

// manifest gets the manifest and finds out whether there is something newer.
func (q *question) manifest(ctx context.Context) (text, signature []byte, m Manifest, outcome Outcome, err error) {
	var known validators
	offered := q.state.Offered
	_, wasRefused := q.state.Refused[offered]
	standing := q.refusal(offered)
	if q.state.URL == q.url.String() && !q.damaged && offered != 0 && (!wasRefused || standing != nil) {
		known = validators{q.state.ETag, q.state.Modified}
	}
	var body bytes.Buffer
	q.said, err = q.get(ctx, manifestFile, maxManifest, known, &body)
	if errors.Is(err, errUnchanged) {
		if standing != nil {
			return nil, nil, Manifest{}, "", standing
		}
		return nil, nil, Manifest{}, Unchanged, nil
	}
	if err != nil {
		return nil, nil, m, "", err
	}
	text = body.Bytes()
	var seal bytes.Buffer
	if _, err = q.get(ctx, signatureFile, maxSignature, validators{}, &seal); err != nil {
		return nil, nil, m, "", err
	}
	if err = q.Keys.verify(text, seal.Bytes()); err != nil {
		return nil, nil, m, "", err
	}
	if m, err = parseManifest(text); err != nil {
		return nil, nil, m, "", err
	}
	outcome, err = q.weigh(m)
	return text, seal.Bytes(), m, outcome, err
}

// weigh says whether a signed manifest is of something that is wanted.
func (q *question) weigh(m Manifest) (Outcome, error) {
	refuse := func(format string, args ...any) (Outcome, error) {
		return "", &Refused{Version: m.Version, Reason: fmt.Sprintf(format, args...)}
	}
	now := q.Now()
	standing := q.refusal(m.Version)
	switch {
	case !now.Before(m.Expires):
		return refuse("its manifest expired at %s", m.Expires.Format(time.RFC3339))
	case m.Created.After(now.Add(ahead)):
		return refuse("its manifest is from the future: %s", m.Created.Format(time.RFC3339))
	case m.Version == q.current.Version && q.damaged:
	case standing != nil:
		return "", standing
	case m.Version == q.floor:
		return Unchanged, nil
	case m.Version < q.floor:
		return refuse("version %d was adopted before", q.floor)
	}
	for version := range q.state.Refused {
		if m.Version < version {
			return refuse("version %d was refused before, and is newer", version)
		}
	}
	if m.Size > q.MaxBundle {
		return refuse("%d bytes are more than a bundle may have (%d)", m.Size, q.MaxBundle)
	}
	return Newer, nil
}

// fetch downloads the bundle, verifies it, and unpacks it below temp.
func (q *question) fetch(ctx context.Context, m Manifest, temp string) error {
	name := filepath.Join(temp, "bundle")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("storing newer rules: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := q.get(ctx, m.File, m.Size, validators{}, io.MultiWriter(f, sum)); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != m.SHA256 {
		size, _ := f.Seek(0, io.SeekCurrent)
		return fmt.Errorf("%s is not what the manifest says: %d bytes of %d, SHA-256 %s", m.File, size, m.Size, got)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("storing newer rules: %w", err)
	}
	files := filepath.Join(temp, filesDir)
	if err := os.Mkdir(files, 0o700); err != nil {
		return fmt.Errorf("storing newer rules: %w", err)
	}
	err = unpack(f, files, bounds{q.MaxFiles, q.MaxUnpacked})
	if err == nil {
		return os.Remove(name)
	}
	if local(err) { // a full disk, not the bundle
		return err
	}
	return &Refused{Version: m.Version, Reason: err.Error(), Final: true, cause: err}
}

// local says whether an error is one of this machine's files.
func local(err error) bool {
	var path *os.PathError
	return errors.As(err, &path)
}

// seal stores what proves, at the next start, that the files are whole.
func (q *question) seal(m Manifest, text, signature []byte, temp string) error {
	sums, err := digestTree(filepath.Join(temp, filesDir))
	if err != nil {
		return err
	}
	manifest := sha256.Sum256(text)
	if err := writeJSON(filepath.Join(temp, digestsFile), digests{m.SHA256, hex.EncodeToString(manifest[:]), sums}); err != nil {
		return err
	}
	if err := replace(filepath.Join(temp, signatureFile), signature, 0o600, nobody); err != nil {
		return err
	}
	return replace(filepath.Join(temp, manifestFile), text, 0o600, nobody)
}

// note writes down what came of the question.
func (q *question) note(m Manifest, outcome Outcome, err error) error {
	now := q.Now()
	s := q.state
	if s.Heard.IsZero() {
		s.Heard = now
	}
	s.Checked, s.Floor, s.Error = now, q.floor, ""
	var refused *Refused
	settled := errors.As(err, &refused) && refused.settled()
	if settled && !refused.Standing {
		s.refuse(refused.Version, Refusal{refused.Reason, now, refused.Final, refused.Again, s.Refused[refused.Version].Tries + 1})
	}
	if outcome == Adopted {
		s.Floor = max(s.Floor, m.Version)
		for version := range s.Refused {
			if version <= m.Version {
				delete(s.Refused, version)
			}
		}
	}
	if err != nil {
		s.Error = err.Error()
	}
	if err == nil || settled {
		// The manifest has been dealt with: the next question may be answered 304.
		// Which it was, and which bundle is in force, is not said by that answer.
		s.Failures, s.Heard = 0, now
		if m.Version != 0 {
			s.URL, s.ETag, s.Modified, s.Offered = q.url.String(), q.said.etag, q.said.modified, m.Version
		}
	} else {
		s.Failures++
	}
	return writeJSON(filepath.Join(q.Dir, stateFile), s)
}
