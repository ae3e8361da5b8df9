package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A damage is something that happened to the files of a queue while nobody had it open.
type damage struct {
	name  string
	files string // which, below the queue's directory; each of at most two is damaged in a run of its own
	do    func(path string) error
	costs int // how many messages it may cost; each must be named
}

// flipped returns a damage that inverts a byte at each of some places, given in parts of the file.
func flipped(places ...float64) func(string) error {
	return func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return err
		}
		for _, p := range places {
			b[int(p*float64(len(b)-1))] ^= 0xff
		}
		return os.WriteFile(path, b, 0o600)
	}
}

// flippedMail inverts one byte in the middle of the mail in a segment.
func flippedMail(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	marks := bytes.Count(b, []byte("X-Torture"))
	at := 0
	for range marks/2 + 1 {
		at += bytes.Index(b[at:], []byte("X-Torture")) + 1
	}
	b[at+200] ^= 0xff
	return os.WriteFile(path, b, 0o600)
}

func cutTo(part float64) func(string) error {
	return func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, int64(part*float64(info.Size())))
	}
}

func zeroed(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, make([]byte, info.Size()), 0o600)
}

const everything = 1 << 30

// TestDamagedFiles damages the files of a queue, each kind in several ways, and starts the process on them. It starts by
// itself whatever they are. Damage of the index costs no message. Damage of the spool costs those messages at most that
// it hit, and each of them is named: it is held, or the log names its sender, or (when index and spool are damaged both)
// the log tells the place and the segment is kept in damaged/.
func TestDamagedFiles(t *testing.T) {
	inFull(t)
	dead := newSink(t, false)
	before := launch{config: tortureConfig(t, "", map[string]*mailSink{"dead.example.net": dead})}
	// Two queues with mail in them: of a process that was killed, and of one that ended properly.
	promised := newPromises("damage")
	origin := map[string]string{}
	for _, end := range []string{"killed", "stopped"} {
		before.state = t.TempDir()
		p := before.must(t)
		stop := make(chan struct{})
		clients := promised.load(4, p.address, func() []string { return []string{"a@dead.example.net"} }, func() int { return 2000 + rand.IntN(30000) }, stop)
		waitFor(t, "mail in the queue", func() bool { return promised.count() >= 200 })
		close(stop)
		clients.Wait()
		if end == "killed" {
			p.kill()
		} else if err := p.stop(); err != nil {
			t.Fatal(err)
		}
		origin[end] = before.state
		origin[end+" holds"] = strings.Join(func() (ids []string) {
			for d := range promised.copied() {
				ids = append(ids, d.id)
			}
			return ids
		}(), " ")
		promised.reset(nil)
	}
	damages := []damage{
		{"the whole index is gone", "index", os.RemoveAll, 0},
		{"the index is an empty directory", "index", func(p string) error { os.RemoveAll(p); return os.Mkdir(p, 0o700) }, 0},
		{"one byte is another", "index/MANIFEST", flipped(0.5), 0},
		{"first byte is another", "index/MANIFEST", flipped(0), 0},
		{"cut in half", "index/MANIFEST", cutTo(0.5), 0},
		{"empty", "index/MANIFEST", cutTo(0), 0},
		{"gone", "index/MANIFEST", os.Remove, 0},
		{"one byte is another", "index/*.sst", flipped(0.3), 0},
		{"last bytes are others", "index/*.sst", flipped(0.98, 0.99, 1), 0},
		{"cut in half", "index/*.sst", cutTo(0.5), 0},
		{"empty", "index/*.sst", cutTo(0), 0},
		{"zeros", "index/*.sst", zeroed, 0},
		{"gone", "index/*.sst", os.Remove, 0},
		{"one byte is another", "index/*.mem", flipped(0.001), 0},
		{"bytes are others", "index/*.mem", flipped(0, 0.0001, 0.0005, 0.002, 0.01), 0},
		{"cut in half", "index/*.mem", cutTo(0.5), 0},
		{"cut to a thousandth", "index/*.mem", cutTo(0.001), 0},
		{"empty", "index/*.mem", cutTo(0), 0},
		{"zeros", "index/*.mem", zeroed, 0},
		{"gone", "index/*.mem", os.Remove, 0},
		{"bytes are others", "index/*.vlog", flipped(0, 0.0001), 0},
		{"empty", "index/*.vlog", cutTo(0), 0},
		{"gone", "index/*.vlog", os.Remove, 0},
		{"bytes are others", "index/KEYREGISTRY", flipped(0.2, 0.8), 0},
		{"empty", "index/KEYREGISTRY", cutTo(0), 0},
		{"bytes are others", "index/DISCARD", flipped(0, 0.001), 0},
		{"one byte of one message is another", "spool/*.seg", flippedMail, 1},
		{"its head is overwritten", "spool/*.seg", func(p string) error {
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt(make([]byte, 512), 0)
				f.Close()
			}
			return err
		}, 0},
		{"cut to a tenth", "spool/*.seg", cutTo(0.1), everything},
		{"empty", "spool/*.seg", cutTo(0), everything},
		{"gone", "spool/*.seg", os.Remove, everything},
		{"index gone and one byte of one message is another", "spool/*.seg", func(p string) error {
			os.RemoveAll(filepath.Join(filepath.Dir(p), "..", "index"))
			return flippedMail(p)
		}, 1},
		{"index gone and a segment cut to a tenth", "spool/*.seg", func(p string) error {
			os.RemoveAll(filepath.Join(filepath.Dir(p), "..", "index"))
			return cutTo(0.1)(p)
		}, everything},
	}
	runs, named, byPlace := 0, 0, 0
	for _, end := range []string{"killed", "stopped"} {
		holds := strings.Fields(origin[end+" holds"])
		for _, d := range damages {
			files, err := filepath.Glob(filepath.Join(origin[end], "queue", d.files))
			if err != nil {
				t.Fatal(err)
			}
			if end == "stopped" && !strings.HasPrefix(d.files, "index") {
				continue // the spool is the same
			}
			for _, original := range files[:min(len(files), 2)] {
				runs++
				rel, err := filepath.Rel(origin[end], original)
				if err != nil {
					t.Fatal(err)
				}
				t.Run(fmt.Sprintf("%s/%s/%s", end, filepath.Base(rel), d.name), func(t *testing.T) {
					n, places := startDamaged(t, origin[end], rel, d, holds)
					named, byPlace = named+n, byPlace+places
				})
			}
		}
	}
	t.Logf("FIGURES damage: %d kinds of damage on queues of about 200 messages: %d starts, all by themselves; messages of damaged segments: %d named, %d known by their place only; all others were delivered whole", len(damages), runs, named, byPlace)
}

// startDamaged starts a gateway on a damaged copy and counts.
func startDamaged(t *testing.T, origin, rel string, d damage, holds []string) (named, byPlace int) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	if out, err := exec.Command("cp", "-a", "--sparse=always", origin, state).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	os.Remove(filepath.Join(state, "control.sock"))
	if err := d.do(filepath.Join(state, rel)); err != nil {
		t.Fatal(err)
	}
	all := newSink(t, true)
	l := launch{state: state, config: tortureConfig(t, "", map[string]*mailSink{"dead.example.net": all})}
	p, _, err := l.start(t)
	if err != nil {
		keepState(t, state)
		t.Fatal(err)
	}
	held := map[string]string{} // sender -> why
	var waiting int
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		list, err := listQueue(t, l)
		if err != nil {
			t.Fatal(err)
		}
		waiting = 0
		for _, it := range list {
			if it.Hold != "" {
				held[strings.TrimSuffix(it.Sender, "@example.org")] = it.Hold
			} else {
				waiting++
			}
		}
		if waiting == 0 {
			break
		}
		cli(t, "", "queue", "flush", "--state", l.state, "--config", l.config)
	}
	if waiting > 0 {
		t.Errorf("%d messages are neither delivered nor held", waiting)
	}
	log := p.log()
	came := arrived(all)
	var silent []string
	for _, id := range holds {
		switch times := came[delivery{id, "a@dead.example.net"}]; {
		case len(times) == 1:
		case len(times) > 1:
			t.Errorf("%s came %d times", id, len(times))
		case held[id] != "" || strings.Contains(log, "from="+id+"@"):
			named++
		default:
			silent = append(silent, id)
		}
	}
	kept, _ := filepath.Glob(filepath.Join(state, "queue", "damaged", "*"))
	switch {
	case len(silent) > 0 && strings.Contains(d.name, "index gone") && len(kept) > 0 && logCount(log, "level=ERROR.*segment=") > 0:
		byPlace = len(silent)
	case len(silent) > 0:
		keepState(t, state)
		t.Errorf("%d messages such as %s are missing, and nothing says so:\n%.4000s", len(silent), silent[0], log)
	}
	if named+byPlace > d.costs {
		t.Errorf("it cost %d messages, at most %d were hit", named+byPlace, d.costs)
	}
	all.check(t)
	// And it works: what is new goes through.
	if err := sendOnce(p.address, "after", []string{"b@dead.example.net"}, 2000); err != nil {
		t.Errorf("new mail: %v", err)
	}
	waitFor(t, "new mail", func() bool { return len(all.times(delivery{"after", "b@dead.example.net"})) == 1 })
	if err := p.stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
	return named, byPlace
}
