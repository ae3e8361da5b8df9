package queue

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain runs the victim of the crash tests when it is asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("QUEUE_VICTIM"); dir != "" {
		victim(dir)
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// victimBody is a message that says by itself whether it is whole; its size depends on the id.
func victimBody(id string) []byte {
	var b bytes.Buffer
	size := 200 + int(crcOf(id)%9000)
	for b.Len() < size {
		fmt.Fprintf(&b, "%s line %d\r\n", id, b.Len())
	}
	return b.Bytes()
}

func crcOf(s string) uint32 {
	sum, _ := checksum(strings.NewReader(s))
	return sum
}

// victim puts and delivers as fast as it can until it is killed, and says on standard output what it did: "put ID" after
// Put has returned, "got ID" before a delivery is reported to the queue.
func victim(dir string) {
	var mu sync.Mutex
	say := func(verb, id string) {
		mu.Lock()
		defer mu.Unlock()
		os.Stdout.WriteString(verb + " " + id + "\n")
	}
	q, err := Open(Config{Dir: dir, MinFree: 1 << 20, Workers: 8, Retry: func(int) time.Duration { return 20 * time.Millisecond },
		Deliverer: deliverFunc(func(_ context.Context, it *Item, body io.ReadSeeker) []Result {
			b, err := io.ReadAll(body)
			if err != nil || !bytes.Equal(b, victimBody(it.ID)) {
				say("bad", it.ID)
				return nil
			}
			if rand.IntN(3) == 0 {
				return all(it, Deferred, "450 4.2.0 later")
			}
			say("got", it.ID)
			return all(it, Delivered, "250 2.0.0 ok")
		})})
	if err != nil {
		say("err", strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	say("open", "")
	go q.Run(context.Background())
	for range 8 {
		go func() {
			for {
				ds := make([]Draft, 1+rand.IntN(3))
				for i := range ds {
					id := NewID()
					ds[i] = Draft{ID: id, Sender: "a@example.org", Recipients: []string{"b@example.com"}, Body: [][]byte{victimBody(id)}}
				}
				ids, err := q.Put(context.Background(), ds...)
				if err != nil {
					say("err", err.Error())
					return
				}
				for _, id := range ids {
					say("put", id)
				}
			}
		}()
	}
	select {}
}

// TestKill kills a process that puts and delivers under load with SIGKILL at random moments, again and again on the
// same directory, and finds every message whose Put had returned delivered or in the queue, whole.
func TestKill(t *testing.T) {
	kills := 25
	if testing.Short() {
		kills = 5
	}
	dir := t.TempDir()
	put, got := map[string]bool{}, map[string]int{}
	for range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "QUEUE_VICTIM="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			verb, id, _ := strings.Cut(lines.Text(), " ")
			switch verb {
			case "open": // from now on at any moment
				time.AfterFunc(time.Duration(rand.IntN(150))*time.Millisecond, func() { cmd.Process.Kill() })
			case "put":
				put[id] = true
			case "got":
				got[id]++
			default:
				cmd.Process.Kill()
				t.Fatalf("victim: %s", lines.Text())
			}
		}
		cmd.Wait()
	}
	q := open(t, Config{Dir: dir})
	there := map[string]bool{}
	for _, id := range list(t, q, Filter{}) {
		there[id] = true
		if b := readBody(t, q, id); b != string(victimBody(id)) {
			t.Errorf("%s is not whole", id)
		}
	}
	held := list(t, q, Filter{Held: true})
	lost, twice := 0, 0
	for id := range put {
		if got[id] == 0 && !there[id] {
			lost++
		}
	}
	for _, n := range got {
		if n > 1 {
			twice += n - 1
		}
	}
	t.Logf("%d kills: %d messages acknowledged, %d delivered, %d still queued (%d held), %d lost, %d delivered twice", kills, len(put), len(got), len(there), len(held), lost, twice)
	if lost > 0 {
		t.Errorf("%d acknowledged messages are lost", lost)
	}
	if len(put) < 20*kills {
		t.Errorf("only %d messages were put: the test tests nothing", len(put))
	}
	if twice > 8*kills {
		t.Errorf("%d deliveries were repeated: more than were under way", twice)
	}
	if len(held) > 0 {
		t.Errorf("innocent items were held as poison: %q", held)
	}
}
