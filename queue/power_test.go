package queue

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// shared returns the folder of shared test material, or skips the test aloud.
func shared(t *testing.T, path string) string {
	t.Helper()
	dir := os.Getenv("SPAMCATCHER_SHARED")
	if dir == "" {
		dir, _ = filepath.Abs(".")
		for dir != "/" {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			dir = filepath.Dir(dir)
		}
		dir = filepath.Join(dir, "..", "shared")
	}
	dir = filepath.Join(dir, path)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: %s is not there; set SPAMCATCHER_SHARED to the folder of shared test material", dir)
	}
	return dir
}

// TestPowerCut cuts the power under a queue at work on a file system that keeps only what was synced (every second time
// with half of the rest, torn at random pages): what was acknowledged before the cut is delivered or in the queue, whole.
// QUEUE_CUTS says how many cuts; without it there are two.
func TestPowerCut(t *testing.T) {
	source := shared(t, "torture/lossyfs")
	cuts := 2
	if n, err := strconv.Atoi(os.Getenv("QUEUE_CUTS")); err == nil {
		cuts = n
	}
	work := t.TempDir()
	if err := os.CopyFS(filepath.Join(work, "src"), os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	exec.Command("chmod", "-R", "u+w", work).Run()
	build := exec.Command("go", "build", "-o", filepath.Join(work, "lossyfs"), ".")
	build.Dir = filepath.Join(work, "src")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: lossyfs cannot be built here: %v\n%s", err, out)
	}
	total, queued := 0, 0
	for i := range cuts {
		acked, left := cutPower(t, filepath.Join(work, "lossyfs"), filepath.Join(work, fmt.Sprint(i)), i%2*(i+1))
		total, queued = total+acked, queued+left
	}
	t.Logf("%d cuts: %d messages acknowledged before them, %d items found after them", cuts, total, queued)
	if total < 10*cuts {
		t.Errorf("only %d messages were put: the test tests nothing", total)
	}
}

func cutPower(t *testing.T, lossyfs, dir string, seed int) (acked, left int) {
	mnt, dump := filepath.Join(dir, "mnt"), filepath.Join(dir, "dump")
	for _, d := range []string{mnt, dump} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	disk := exec.Command(lossyfs, mnt, dump, "ext4")
	orders, err := disk.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := disk.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { orders.Close(); disk.Wait(); exec.Command("umount", "-l", mnt).Run() }()
	said := bufio.NewScanner(answers)
	if !said.Scan() || said.Text() != "ready" {
		t.Skipf("SKIPPED: no FUSE here: %s", said.Text())
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "QUEUE_VICTIM="+filepath.Join(mnt, "q"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	put, got := map[string]bool{}, map[string]bool{}
	ended, opened := make(chan bool), make(chan bool, 1)
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			verb, id, _ := strings.Cut(lines.Text(), " ")
			mu.Lock()
			switch verb {
			case "open":
				opened <- true
			case "put":
				put[id] = true
			case "got":
				got[id] = true
			default:
				t.Errorf("victim: %s", lines.Text())
			}
			mu.Unlock()
		}
	}()
	select {
	case <-opened:
	case <-time.After(30 * time.Second):
		t.Error("the victim does not open")
	}
	time.Sleep(time.Duration(100+rand.IntN(1500)) * time.Millisecond)
	mu.Lock()
	before := maps.Clone(put)
	mu.Unlock()
	fmt.Fprintf(orders, "cut c %d\n", seed)
	said.Scan()
	cmd.Process.Kill()
	<-ended
	cmd.Wait()
	log := &logbook{}
	q := open(t, Config{Dir: filepath.Join(dump, "c", "q"), Log: log.logger()})
	defer q.Close()
	there := map[string]bool{}
	for _, id := range list(t, q, Filter{}) {
		there[id] = true
		r, err := q.Body(id)
		if err != nil {
			t.Errorf("after the cut: %v", err)
			continue
		}
		r.Close()
	}
	for id := range before {
		if !there[id] && !got[id] {
			t.Errorf("cut with seed %d: %s was acknowledged and is lost\n%s", seed, id, log)
		}
	}
	if strings.Contains(log.String(), "set aside") {
		t.Logf("cut with seed %d: the index had to be built anew\n%s", seed, log)
	}
	return len(before), len(there)
}
