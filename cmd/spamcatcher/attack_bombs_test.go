package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/unpacktest"
)

// What a bomb may take: memory of the whole process, and time of the message
// beyond what the configuration allows for unpacking (2 s) and for the checks.
const (
	bombMemory = 256 << 20
	bombTime   = 15 * time.Second // generous: other tests run beside this one
)

// A result is what the program says of a message.
type result struct {
	Score   float64
	Symbols []struct{ Name, Detail string }
	Faults  []struct{ Check, Kind, Error string }
	Virus   string
	Elapsed int64 `json:"elapsed_us"`
}

func (r *result) has(name string) bool {
	return slices.ContainsFunc(r.Symbols, func(s struct{ Name, Detail string }) bool { return s.Name == name })
}

// limits are the symbols that say that something was not looked at.
func (r *result) limits() (names []string) {
	for _, s := range r.Symbols {
		if strings.Contains(s.Name, "LIMIT") || strings.HasSuffix(s.Name, "_INCOMPLETE") {
			names = append(names, s.Name)
		}
	}
	return names
}

// A measured message is what one process of its own did with it.
type measured struct {
	result
	wall, cpu time.Duration
	peak      int64 // bytes of resident memory
}

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// judge scores a file in a process of its own.
func judge(t *testing.T, file string) (m measured) {
	t.Helper()
	cmd := exec.Command(binary, "score", "--json", "--state", t.TempDir(), file)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// What a child has used at its end includes what its parent had when it was
	// made; so it is asked while it lives.
	ended, asked := make(chan error, 1), make(chan bool)
	go func() {
		defer close(asked)
		for {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			if err != nil {
				return
			}
			if p := peakLine.FindSubmatch(text); p != nil {
				kib, _ := strconv.ParseInt(string(p[1]), 10, 64)
				m.peak = max(m.peak, kib<<10)
			} else if m.peak > 0 { // it has ended
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		m.wall = time.Since(begin)
		<-asked
		if err != nil {
			t.Fatalf("the program ended: %v\n%.2000s", err, errs.String())
		}
	case <-time.After(2 * time.Minute):
		cmd.Process.Kill()
		t.Fatal("the program was still at it after two minutes")
	}
	m.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if err := json.Unmarshal(out.Bytes(), &m.result); err != nil {
		t.Fatalf("%v: %.2000s %.2000s", err, out.String(), errs.String())
	}
	return m
}

// bombs are those that tests build, and those of the suites.
func bombs(t *testing.T) []unpacktest.Bomb {
	list := unpacktest.Bombs()
	dir := os.Getenv("SPAMCATCHER_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "suites", "generated", "bombs", "*"))
	if len(files) == 0 {
		t.Log("SKIPPED: the bombs of the suites, among them a zip that holds itself: set SPAMCATCHER_SHARED to the folder that holds suites/")
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, unpacktest.Bomb{Name: "suite: " + filepath.Base(file), Make: func() []byte {
			return unpacktest.Letter{Parts: []unpacktest.Part{unpacktest.Attached("application/octet-stream", unpacktest.File{Name: filepath.Base(file), Data: data})}}.Bytes()
		}, Limited: !strings.Contains(file, "quine") && !strings.Contains(file, "nested")}) // those hold the same again and again: all of it is looked at
	}
	return list
}

// TestBombs has every bomb scored by a process of its own: it ends in time, with
// little memory, and the verdict tells what was not looked at.
func TestBombs(t *testing.T) {
	plainFile := write(t, "plain.eml", strings.ReplaceAll(goodMessage, "\n", "\r\n"))
	base := judge(t, plainFile)
	if len(base.limits()) > 0 {
		t.Errorf("a good message has reached the limits %v", base.limits())
	}
	t.Logf("FIGURES %-52s %8s %8s %8s %6s %6s  %s", "bomb", "KB", "wall", "CPU", "MiB", "score", "limits")
	row := func(name string, size int, m measured) {
		t.Logf("FIGURES %-52s %8d %8v %8v %6d %6.1f  %s", name, size>>10, m.wall.Round(10*time.Millisecond), m.cpu.Round(10*time.Millisecond), m.peak>>20, m.Score, strings.Join(m.limits(), " "))
	}
	row("(a good message)", len(goodMessage), base)
	var worst measured
	for _, b := range bombs(t) {
		t.Run(b.Name, func(t *testing.T) {
			mail := b.Make()
			file := filepath.Join(t.TempDir(), "bomb.eml")
			if err := os.WriteFile(file, mail, 0o600); err != nil {
				t.Fatal(err)
			}
			size := len(mail)
			mail = nil
			m := judge(t, file)
			row(b.Name, size, m)
			worst.peak, worst.wall, worst.cpu = max(worst.peak, m.peak), max(worst.wall, m.wall), max(worst.cpu, m.cpu)
			if m.peak > bombMemory || m.peak == 0 {
				t.Errorf("%d MiB of memory", m.peak>>20)
			}
			if m.wall > base.wall+bombTime {
				t.Errorf("took %v", m.wall)
			}
			if b.Limited && len(m.limits()) == 0 {
				t.Errorf("no symbol says that not all of it was looked at: %v", m.Symbols)
			}
			if m.Virus != "" {
				t.Errorf("it is taken for %s", m.Virus)
			}
			for _, f := range m.Faults {
				t.Errorf("fault of %s: %s: %.500s", f.Check, f.Kind, f.Error)
			}
		})
	}
	t.Logf("FIGURES worst: %v, %v CPU, %d MiB", worst.wall.Round(10*time.Millisecond), worst.cpu.Round(10*time.Millisecond), worst.peak>>20)
}

// TestBombsAtOnce sends twenty bombs to a gateway at the same time. Every one is
// answered, a message is taken afterwards, and memory stays where it must. The
// same is done before with mails of the same sizes that hold nothing, by which the
// share of unpacking is seen.
func TestBombsAtOnce(t *testing.T) {
	names := []string{"zips of 16, 6 levels", "zips of 16, 6 levels, that differ", "zips, 1,000 deep", "zip of 20,000 members that overlap", "bzip2 of 10 GiB", "xz of 10 GiB", "zstd of 10 GiB",
		"lzma of 24 MiB", "7z of 24 MiB (LZMA)", "pdf of streams packed ten times"}
	var mails, noise [][]byte
	random := rand.New(rand.NewPCG(1, 2))
	for _, b := range unpacktest.Bombs() {
		if slices.Contains(names, b.Name) {
			mail := b.Make()
			data := make([]byte, len(mail)*3/4)
			for i := range data {
				data[i] = byte(random.Uint32())
			}
			mails = append(mails, mail)
			noise = append(noise, unpacktest.Letter{Parts: []unpacktest.Part{unpacktest.Attached("application/octet-stream", unpacktest.File{Name: "data.bin", Data: data})}}.Bytes())
		}
	}
	if len(mails) != len(names) {
		t.Fatalf("only %d bombs", len(mails))
	}
	before := salvo(t, "mails of noise", slices.Repeat(noise, 2))
	peak := salvo(t, "bombs", slices.Repeat(mails, 2))
	if peak > bombMemory {
		t.Logf("FIGURES MISSED: %d MiB of memory, promised are %d; %d with mails of the same size that hold nothing", peak>>20, bombMemory>>20, before>>20)
	}
	if peak > bombsMemory {
		t.Errorf("%d MiB of memory, %d with mails of the same size that hold nothing", peak>>20, before>>20)
	}
}

// bombsMemory is what a gateway may take under twenty bombs at once. One bomb alone
// keeps within bombMemory; here the collector of garbage is late by up to as much
// again as is in use.
const bombsMemory = 512 << 20

// salvo sends mails to a gateway of its own, all at once, and returns how much
// memory it had at most.
func salvo(t *testing.T, what string, mails [][]byte) int64 {
	t.Helper()
	p := start(t, t.TempDir(), "hostname = 'mx.example.org'\n[limits]\nmemory = 67108864\n")
	if err := send(p.address, "a@example.net", []string{"b@example.org"}, goodMessage); err != nil {
		t.Fatal(err)
	}
	before := p.status("VmRSS")
	begin := time.Now()
	var wg sync.WaitGroup
	answers := make(chan string, len(mails))
	for _, mail := range mails {
		wg.Go(func() {
			if err := send(p.address, "a@example.net", []string{"b@example.org"}, string(mail)); err != nil {
				answers <- err.Error()[:min(len(err.Error()), 3)]
				return
			}
			answers <- "taken"
		})
	}
	wg.Wait()
	took := time.Since(begin)
	close(answers)
	count := map[string]int{}
	for a := range answers {
		if count[a]++; a != "taken" && a != "451" && a != "550" && a != "554" {
			t.Errorf("%s: answer %s", what, a)
		}
	}
	if count["taken"] == 0 {
		t.Errorf("%s: none was taken: %v", what, count)
	}
	if err := send(p.address, "a@example.net", []string{"b@example.org"}, goodMessage); err != nil {
		t.Errorf("after the %s: %v", what, err)
	}
	if took > 2*time.Minute {
		t.Errorf("%s: took %v", what, took)
	}
	for _, f := range p.faults() {
		t.Error(f)
	}
	peak := p.peak()
	t.Logf("FIGURES %d %s at once: %v in %v; %d MiB before, %d at most", len(mails), what, count, took.Round(10*time.Millisecond), before>>20, peak>>20)
	return peak
}
