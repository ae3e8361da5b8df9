package update

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Environment of the child that adopts bundles until it is killed.
const (
	childDir  = "UPDATE_TEST_DIR"
	childURL  = "UPDATE_TEST_URL"
	childKey  = "UPDATE_TEST_KEY"
	childRoot = "UPDATE_TEST_ROOT"
	childOnce = "UPDATE_TEST_ONCE" // ends after one question
)

// TestMain lets this binary be the child.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

func child(dir string) {
	keys, err := ParseKeys(os.Getenv(childKey))
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(os.Getenv(childRoot)))
	for {
		c, err := New(Config{URL: os.Getenv(childURL), Keys: keys, Dir: dir,
			Client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
			Try:    func(context.Context, string) error { return nil }})
		if err != nil {
			panic(err)
		}
		_, outcome, err := c.Check(context.Background())
		fmt.Println(outcome, err)
		if os.Getenv(childOnce) != "" {
			return
		}
	}
}

// crashes is a site whose adopting process is killed.
type crashes struct {
	*site
	key signer
	env []string
}

func newCrashes(t *testing.T) *crashes {
	t.Helper()
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	s.now = time.Now()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.host.Certificate().Raw})
	return &crashes{s, key, append(os.Environ(), childDir+"="+s.dir, childURL+"="+s.host.URL+"/rules", childKey+"="+key.public.String(), childRoot+"="+string(root), "GOMAXPROCS=1")}
}

func (c *crashes) offer(version int64) {
	c.host.serve(c.key.feedOf(c.t, version, goodBundle(c.t, version), func(m *Manifest) {
		m.Created, m.Expires = time.Now(), time.Now().Add(time.Hour)
	}), nil)
}

// TestKilledAtRandom: a process that adopts one bundle after another is killed at
// a random moment, 120 times. Whatever is in force then is one whole bundle, never
// an older one than before, and the next process goes on.
func TestKilledAtRandom(t *testing.T) {
	c := newCrashes(t)
	version, adoptions := int64(0), 0
	for round := range 120 {
		// One bundle after another is offered while the child runs.
		c.offer(version + 1)
		cmd := exec.Command(os.Args[0])
		cmd.Env = c.env
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		ended := make(chan struct{})
		next := version + 1
		go func() {
			defer close(ended)
			for {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				// Opening while the child adopts finds a whole one, too.
				if b, _ := Open(c.dir, c.keys); b != nil && b.Version == next {
					next++
					c.offer(next)
				}
			}
		}()
		time.Sleep(time.Duration(10+rand.IntN(90)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		close(stop)
		<-ended
		got := c.inForce()
		if got < version {
			t.Fatalf("round %d: version %d is in force, it was %d", round, got, version)
		}
		adoptions += int(got - version)
		version = got
	}
	if adoptions < 20 {
		t.Errorf("only %d adoptions in 120 lives: the kills came too early to mean anything", adoptions)
	}
	c.offer(version + 1)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(c.env, childOnce+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), string(Adopted)) {
		t.Errorf("the last process: %v, %s", err, out)
	}
	if got := c.inForce(); got != version+1 {
		t.Errorf("version %d is in force, want %d", got, version+1)
	}
	left(t, c.dir, stored(c.dir)[:3]...)
	t.Logf("120 kills, %d adoptions", adoptions)
}

// TestKilledAtEverySyscall kills the process at every single system call by which
// it changes the disk, from the first to the last of one adoption.
func TestKilledAtEverySyscall(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: strace is not installed: no process is killed at its system calls")
	}
	if out, err := exec.Command(strace, "-f", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace cannot trace here: %v: %s", err, out)
	}
	c := newCrashes(t)
	const calls = "openat,mkdirat,write,fsync,rename,renameat,renameat2,unlinkat,fchmod,flock,close"
	version := int64(0)
	adopt := func(args ...string) {
		cmd := exec.Command(strace, append(args, os.Args[0])...)
		cmd.Env = append(slices.Clone(c.env), childOnce+"=1")
		cmd.CombinedOutput() // killed, or not
	}
	// Versions 1 and 2 are there before.
	for version < 2 {
		c.offer(version + 1)
		adopt("-f", "-o", os.DevNull)
		version = c.inForce()
	}
	kills, before, after := 0, 0, 0
	for _, call := range strings.Split(calls, ",") {
		for n := 1; ; n++ {
			if n > 400 {
				t.Fatalf("more than 400 calls of %s", call)
			}
			trace := filepath.Join(t.TempDir(), "trace")
			c.offer(version + 1)
			adopt("-f", "-o", trace, "-e", "trace="+call, "-e", "inject="+call+":signal=SIGKILL:when="+strconv.Itoa(n))
			text, err := os.ReadFile(trace)
			if err != nil {
				t.Fatal(err)
			}
			got := c.inForce()
			if got != version && got != version+1 {
				t.Fatalf("killed at %s %d: version %d is in force, want %d or %d", call, n, got, version, version+1)
			}
			if !bytes.Contains(text, []byte("killed by SIGKILL")) {
				if got != version+1 {
					t.Fatalf("not killed at %s %d, and not adopted", call, n)
				}
				version = got
				break // there are no more of them
			}
			if kills++; got == version {
				before++
			} else {
				after++
			}
			version = got
		}
	}
	if kills < 60 || before < 30 || after < 3 {
		t.Errorf("%d kills, %d before and %d after the adoption: too few to mean anything", kills, before, after)
	}
	t.Logf("%d kills, the old bundle in force after %d, the new one after %d", kills, before, after)
}
