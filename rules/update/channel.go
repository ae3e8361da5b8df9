package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// Config of a Channel.
type Config struct {
	URL  string // https, or http on this machine
	Keys Keys   // one of which signs the manifests
	Dir  string // where bundles and state are kept
	// Interval is the time between two questions, give or take a tenth. 0 means an
	// hour. After failures it grows, to a day at most.
	Interval time.Duration
	// Client asks. nil means one of our own, which verifies TLS.
	Client *http.Client
	// Try compiles what is in a directory and judges mail by it; an error refuses
	// the bundle: for good, or, where it is ErrAgain, for hours. Required.
	Try func(ctx context.Context, dir string) error
	// Circumstances names all but the bundle that Try's answer depends on: when it
	// changes, what was refused is tried again. nil is always the same.
	Circumstances func() string
	// Retry tries also what was refused before.
	Retry bool
	// Adopt is told after a version came into force. nil tells nobody.
	Adopt func(version int64)
	Log   *slog.Logger     // nil logs nothing
	Now   func() time.Time // nil is the machine's clock

	MaxBundle   int64         // bytes of a bundle; 0 means 64 MiB
	MaxUnpacked int64         // bytes of its files; 0 means 256 MiB
	MaxFiles    int           // files and directories of it; 0 means 4096
	Timeout     time.Duration // for all that is downloaded at one question; 0 means 10 minutes
	MinRate     int64         // bytes a second that must arrive in every 20 seconds; 0 means 1024
}

// ErrAgain is what Try wraps when the fault is not, or not surely, one of the
// bundle alone, so that it is tried again: after an hour, then after twice as long
// each time, up to a day.
var ErrAgain = errors.New("cannot be tried now")

// What receivers take if they do not say otherwise.
const (
	maxBundle   = 64 << 20  // bytes
	maxUnpacked = 256 << 20 // bytes
	maxFiles    = 4096      // and directories
)

// Silence is the time without a good answer after which a channel is reported as
// silent.
const Silence = 30 * 24 * time.Hour

// ahead is how far a manifest's time may be ahead of ours.
const ahead = 24 * time.Hour

// A Channel asks for bundles and adopts good ones.
type Channel struct {
	Config
	url    *url.URL
	client *http.Client
	rate   int64
	window time.Duration
	warned time.Time // of silence
	told   int64     // the version whose refusal was logged

	// What Run knows of its last question: the file that says so may be one that
	// cannot be written.
	asked  time.Time
	failed int
}

// New makes a channel. It touches nothing.
func New(c Config) (*Channel, error) {
	u, err := checkURL(c.URL)
	switch {
	case err != nil:
		return nil, err
	case len(c.Keys) == 0:
		return nil, errors.New("a channel needs the public key that its bundles are signed with")
	case c.Dir == "" || c.Try == nil:
		return nil, errors.New("update: no directory, or nothing to try a bundle with")
	}
	c.Interval = cmp.Or(c.Interval, time.Hour)
	c.MaxBundle = cmp.Or(c.MaxBundle, maxBundle)
	c.MaxUnpacked = cmp.Or(c.MaxUnpacked, maxUnpacked)
	c.MaxFiles = cmp.Or(c.MaxFiles, maxFiles)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Minute)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Channel{Config: c, url: u, client: newClient(c.Client), rate: cmp.Or(c.MinRate, 1024), window: 20 * time.Second}, nil
}

// An Outcome is what came of asking a channel.
type Outcome string

const (
	Unchanged Outcome = "unchanged" // nothing newer than what is, or was, in force
	Newer     Outcome = "newer"     // there is a newer bundle (Peek)
	Adopted   Outcome = "adopted"   // it is in force
)

// A Refused is a bundle, or a manifest, that will not be taken.
type Refused struct {
	Version int64
	Reason  string
	Final   bool // it is not looked at again
	// Again is when a bundle whose fault is not its own is tried again, at the
	// earliest. Zero: it was not tried, because of its manifest, or Final is set.
	Again    time.Time
	Standing bool // it was refused at an earlier question

	cause error
}

func (r *Refused) Error() string {
	text := fmt.Sprintf("version %d is refused: %s", r.Version, r.Reason)
	if !r.Again.IsZero() {
		text += fmt.Sprintf(" (it is tried again after %s)", r.Again.Format(time.RFC3339))
	}
	return text
}

// Unwrap is what Try said.
func (r *Refused) Unwrap() error { return r.cause }

// settled says whether the manifest has been dealt with: the refusal is noted, and
// the next question may be answered by 304.
func (r *Refused) settled() bool { return r.Final || !r.Again.IsZero() }

// Run asks at the interval until ctx ends. The first question comes within
// seconds, unless the last one, perhaps of an earlier process, is not that old.
func (c *Channel) Run(ctx context.Context) error {
	for {
		s, err := readState(c.Dir)
		if err != nil {
			c.Log.Warn("the state of rule updates is lost and made anew", "error", err)
		}
		timer := time.NewTimer(c.wait(s))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		m, outcome, err := c.Check(ctx)
		var refused *Refused
		if c.asked = c.Now(); err == nil || errors.As(err, &refused) && refused.settled() {
			c.failed = 0
		} else if !errors.Is(err, ErrLocked) {
			c.failed++
		}
		if outcome == Adopted {
			c.Log.Info("newer rules are adopted", "version", m.Version, "about", m.About)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrLocked):
			c.Log.Info("not looking for newer rules now", "reason", err)
			if err := sleep(ctx, time.Minute); err != nil {
				return err
			}
		case refused != nil && refused.Standing && refused.Version == c.told:
			c.Log.Debug("the channel still has what was refused", "version", refused.Version)
		case refused != nil:
			c.told = refused.Version
			c.Log.Error("newer rules are refused, the old ones stay", "version", refused.Version, "error", err)
		case err != nil:
			c.Log.Warn("looking for newer rules failed, the old ones stay", "error", err)
		}
		c.warnOfSilence()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// wait is the time until the next question.
func (c *Channel) wait(s state) time.Duration {
	if c.asked.IsZero() && c.Circumstances != nil && s.Circumstances != c.Circumstances() {
		return rand.N(min(5*time.Second, c.Interval)) // another key, for one
	}
	interval := c.Interval
	for range min(max(s.Failures, c.failed)-1, 10) {
		interval *= 2
	}
	interval = max(c.Interval, min(interval, 24*time.Hour))
	checked := s.Checked
	if checked.Before(c.asked) {
		checked = c.asked
	}
	passed := c.Now().Sub(checked)
	if checked.IsZero() || passed < 0 || passed >= interval {
		return rand.N(min(5*time.Second, c.Interval))
	}
	return max(0, interval-passed+time.Duration((rand.Float64()*0.2-0.1)*float64(interval)))
}

// warnOfSilence says once a day that a channel is silent.
func (c *Channel) warnOfSilence() {
	now := c.Now()
	if s := ReadStatus(c.Dir, c.Keys); s.Silent(now) && now.Sub(c.warned) >= 24*time.Hour {
		c.warned = now
		c.Log.Warn("the rule channel is silent; the rules in force are getting old", "since", s.Heard, "error", s.Error)
	}
}

// Check asks once, and adopts a newer bundle if it is good. An error leaves in
// force what is.
func (c *Channel) Check(ctx context.Context) (Manifest, Outcome, error) {
	return c.ask(ctx, true)
}

// Peek asks once, tries what is newer, and only tells: nothing is adopted, and
// nothing noted.
func (c *Channel) Peek(ctx context.Context) (Manifest, Outcome, error) {
	return c.ask(ctx, false)
}
