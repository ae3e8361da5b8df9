package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestIndexDamagedAtWork takes the files of the index away from under a process that works with them. It may die of that,
// since the index is mapped into its memory, and it may answer 4xx or not at all; but what it answers 250, then and
// before, is there when it was started again.
func TestIndexDamagedAtWork(t *testing.T) {
	inFull(t)
	for _, d := range []damage{
		{name: "cut to nothing", files: "*.mem", do: cutTo(0)},
		{name: "zeros", files: "*.mem", do: func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt(make([]byte, 1<<20), 0)
			return err
		}},
		{name: "gone", files: "*", do: os.Remove},
		{name: "cut to nothing", files: "*", do: cutTo(0)},
	} {
		t.Run(d.files+" "+d.name, func(t *testing.T) {
			tr := newTrouble(t, t.TempDir(), "", 50)
			files, err := filepath.Glob(filepath.Join(tr.l.state, "queue", "index", d.files))
			if err != nil || len(files) == 0 {
				t.Fatalf("no files %s: %v", d.files, err)
			}
			for _, f := range files {
				if err := d.do(f); err != nil {
					t.Fatal(err)
				}
			}
			for range 20 {
				if code := tr.offer(5000); code/100 == 5 {
					t.Errorf("new mail is answered %d", code)
				}
			}
			during := fmt.Sprint(tr.refused)
			fate := "lived"
			select {
			case err := <-tr.p.waited:
				tr.p.waited <- err
				fate = fmt.Sprintf("died (%v)", err)
			case <-time.After(200 * time.Millisecond):
			}
			tr.restart()
			clear(tr.refused)
			tr.finish(fmt.Sprintf("index at work, %s %s, %s, the process %s", d.files, d.name, during, fate), tr.recover())
		})
	}
}
