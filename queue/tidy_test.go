package queue

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestTidy leaves two items in each of many segments: they are moved together, and are still there when the queue is
// opened again and when the index is lost.
func TestTidy(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Config{Dir: dir})
	q.spool.size = 1 << 20
	want := map[string][]byte{}
	var gone []string
	for i := range 200 {
		id := fmt.Sprintf("m%03d", i)
		body := bytes.Repeat([]byte(id), 50_000/4)
		put(t, q, Draft{ID: id, Recipients: []string{"a@example.com"}, Body: [][]byte{body}})
		if i%10 == 0 {
			want[id] = body
		} else {
			gone = append(gone, id)
		}
	}
	if err := q.Hold("by hand", "m100"); err != nil {
		t.Fatal(err)
	}
	if err := q.Delete(gone...); err != nil {
		t.Fatal(err)
	}
	before := len(files(t, dir, "spool/*.seg"))
	if err := q.tidy(context.Background(), 1<<20); err != nil {
		t.Fatal(err)
	}
	after := len(files(t, dir, "spool/*.seg"))
	if before < 10 || after > 3 {
		t.Errorf("%d segments before, %d after", before, after)
	}
	check := func(when string) {
		t.Helper()
		ids := list(t, q, Filter{})
		if len(ids) != len(want) {
			t.Errorf("%s: %q", when, ids)
		}
		for _, id := range ids {
			if readBody(t, q, id) != string(want[id]) {
				t.Errorf("%s: %s is not what was put", when, id)
			}
		}
		if held := list(t, q, Filter{Held: true}); fmt.Sprint(held) != "[m100]" {
			t.Errorf("%s: held %q", when, held)
		}
	}
	check("at once")
	q.Close()
	q = open(t, Config{Dir: dir})
	check("reopened")
	q.Close()
	os.RemoveAll(filepath.Join(dir, "index"))
	q = open(t, Config{Dir: dir})
	check("rebuilt")
	if err := q.Delete(list(t, q, Filter{})...); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "spool/*.seg")); len(left) != 0 {
		t.Errorf("empty queue keeps %q", left)
	}
}
