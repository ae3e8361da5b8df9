package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"spamcatcher/rules/update"
	"spamcatcher/signatures/yara"
)

// signed is a channel in a directory, and the public key of what is published.
type signed struct {
	dir            string
	public, secret []byte
}

func newSigned(t *testing.T) *signed {
	t.Helper()
	public, secret, err := update.NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	return &signed{t.TempDir(), public, secret}
}

// publish puts a bundle there, whatever would become of it.
func (s *signed) publish(t *testing.T, version int64, from string) {
	t.Helper()
	if _, err := update.Publish(update.Publication{From: from, To: s.dir, Secret: s.secret, Version: version, Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
}

// TestKeyFileReplaced: another key in the same file makes another channel, and the
// reload sees it.
func TestKeyFileReplaced(t *testing.T) {
	first, second := newSigned(t), newSigned(t)
	file := write(t, "rules.pub", string(first.public))
	config := write(t, "spamcatcher.toml", "[update]\nurl = \"https://example.com/rules\"\nkey = ["+`"`+file+`"`+"]\n")
	load := func() *Config {
		t.Helper()
		c, err := loadConfig(&global{state: t.TempDir(), config: config}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := load()
	old := c.channelChoice()
	if !reflect.DeepEqual(old, load().channelChoice()) {
		t.Error("the same file makes another channel")
	}
	f := inForce{config: c, known: &knownSignatures{}}
	seen := f.stamps()[file]
	circumstances := c.circumstances()
	if err := os.WriteFile(file, second.public, 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Second)
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	if seen == (stamp{}) || f.stamps()[file] == seen {
		t.Error("the reload does not see that the file was replaced")
	}
	if !reflect.DeepEqual(old, c.channelChoice()) {
		t.Error("the keys of a configuration change under it")
	}
	if next := load(); reflect.DeepEqual(old, next.channelChoice()) || next.circumstances() == circumstances {
		t.Error("another key in the file is the same channel")
	}
}

// TestGatewayFollowsOthers: what another process adopts, or takes back, comes into
// force in the running gateway, which did not ask for it.
func TestGatewayFollowsOthers(t *testing.T) {
	feed := newSigned(t)
	feed.publish(t, 1, bundleTree(t, true, map[string]string{"rules/zz.toml": wordRule("CHANNEL_A", "3", "(?i)xylophonic wombat", "a xylophonic wombat")}))
	web := serveDir(t, feed.dir)
	state := t.TempDir()
	key := write(t, "rules.pub", string(feed.public))
	// The gateway itself has no channel: only the key.
	p := start(t, state, "netcheck = false\n[update]\nkey = [\""+key+"\"]\n")
	keys, err := update.ParseKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	reloads := func() int { return strings.Count(p.log(), "msg=reloaded") }
	plan := func() string {
		log := p.log()
		log = log[strings.LastIndex(log, " plan=")+6:]
		return strings.Fields(log)[0]
	}
	inside := plan()
	channel, err := update.New(update.Config{URL: web.URL, Keys: keys, Dir: filepath.Join(state, "update"), Client: web.Client(), Try: func(context.Context, string) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if _, outcome, err := channel.Check(t.Context()); err != nil || outcome != update.Adopted {
		t.Fatalf("%q, %v", outcome, err)
	}
	waitLong(t, "the gateway to follow the update", func() bool { return reloads() == 1 })
	if plan() == inside {
		t.Error("the plan is the same after the update")
	}
	if _, err := update.Rollback(filepath.Join(state, "update"), keys, time.Now()); err != nil {
		t.Fatal(err)
	}
	waitLong(t, "the gateway to follow the rollback", func() bool { return reloads() == 2 })
	if plan() != inside {
		t.Error("after the rollback the plan is not what it was")
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// TestEndsWhileUpdating: SIGTERM ends the gateway soon, whatever a download or a
// trial is about, and nothing is held against the bundle.
func TestEndsWhileUpdating(t *testing.T) {
	slow := "rule slow { condition: for all i in (1..filesize) : (for all j in (1..filesize) : (for all k in (1..filesize) : (uint8(i % 7) + uint8(j % 7) + k >= 0))) }\n"
	for _, test := range []struct {
		name  string
		files map[string]string
		stall bool
	}{
		{name: "download", files: map[string]string{"rules/prices.toml": "[points]\n"}, stall: true},
		{name: "trial", files: map[string]string{"signatures/a.yar": slow}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := yara.Available(); !test.stall && err != nil {
				t.Skipf("SKIPPED: %v", err)
			}
			feed := newSigned(t)
			feed.publish(t, 1, bundleTree(t, false, test.files))
			under := make(chan struct{}, 100)
			files := http.FileServer(http.Dir(feed.dir))
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, ".tar.gz") {
					files.ServeHTTP(w, r)
					return
				}
				if test.stall {
					w.Write([]byte{0x1f, 0x8b})
					http.NewResponseController(w).Flush()
				} else {
					files.ServeHTTP(w, r)
				}
				under <- struct{}{}
				if test.stall {
					<-r.Context().Done()
				}
			}))
			defer web.Close()
			key := write(t, "rules.pub", string(feed.public))
			state := t.TempDir()
			p := start(t, state, "netcheck = false\n[update]\nurl = \""+web.URL+"\"\nkey = [\""+key+"\"]\n")
			select {
			case <-under:
			case <-time.After(time.Minute):
				t.Fatal("the bundle is not asked for")
			}
			if !test.stall {
				time.Sleep(6 * time.Second) // it judges mail by then, for about ten
			}
			begin := time.Now()
			if err := p.stop(); err != nil {
				t.Error(err)
			}
			took := time.Since(begin)
			t.Logf("ended after %v", took.Round(time.Millisecond))
			if took > 5*time.Second {
				t.Errorf("it took %v to end", took)
			}
			keys, err := update.ParseKeys(key)
			if err != nil {
				t.Fatal(err)
			}
			if st := update.ReadStatus(filepath.Join(state, "update"), keys); len(st.Refused) != 0 || st.Bundle != nil {
				t.Errorf("status %+v", st)
			}
		})
	}
}
