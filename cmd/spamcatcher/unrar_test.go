package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/archive"
	"spamcatcher/signatures/unpack/unpacktest"
)

// TestCompressedRAR scores mails with RAR archives of version 3 that are compressed,
// which a process of its own decodes: what is inside is found, and what never comes
// to an end neither takes long nor hides what lies beside it.
func TestCompressedRAR(t *testing.T) {
	eicar := unpacktest.File{Name: "eicar.com", Data: []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD` + `-ANTIVIRUS-TEST-FILE!$H+H*`)}
	loop := unpacktest.File{Name: "loop.rar", Data: unpacktest.RAR3Loop(1000)}
	packed := unpacktest.File{Name: "packed.rar", Data: unpacktest.RAR3(unpacktest.File{Name: "readme.txt", Data: []byte("a text")}, eicar)}
	for _, c := range []struct {
		name    string
		files   []unpacktest.File
		virus   bool
		limited bool
	}{
		{"compressed", []unpacktest.File{packed}, true, false},
		{"harmless", []unpacktest.File{{Name: "good.rar", Data: unpacktest.RAR3(unpacktest.File{Name: "readme.txt", Data: []byte("a text")})}}, false, false},
		{"without an end", []unpacktest.File{loop}, false, true},
		{"beside one without an end", []unpacktest.File{loop, eicar}, true, true},
		{"compressed, behind one without an end", []unpacktest.File{loop, packed}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := unpacktest.Letter{Text: "Hello, the files are here."}
			for _, f := range c.files {
				l.Parts = append(l.Parts, unpacktest.Attached("application/octet-stream", f))
			}
			file := filepath.Join(t.TempDir(), "mail.eml")
			if err := os.WriteFile(file, l.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			m := judge(t, file)
			t.Logf("FIGURES %s: %v, %v CPU, %d MiB, %v", c.name, m.wall.Round(time.Millisecond), m.cpu.Round(time.Millisecond), m.peak>>20, m.limits())
			if got := m.Virus != "" || m.has("VIRUS_SIGNATURE"); got != c.virus || (len(m.limits()) > 0) != c.limited || len(m.Faults) > 0 {
				t.Errorf("virus %v, %v, %v", got, m.Symbols, m.Faults)
			}
			if m.has("ARCHIVE_UNREADABLE") || m.has("ARCHIVE_DAMAGED") {
				t.Error(m.Symbols)
			}
		})
	}
}

// TestDecoder: the process is small, ends with the context, and refuses what it does
// not know.
func TestDecoder(t *testing.T) {
	request := func(data []byte) io.Reader {
		q, err := json.Marshal(map[string]any{"Time": time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		size := []byte{byte(len(q)), byte(len(q) >> 8), 0, 0}
		return strings.NewReader(string(size) + string(q) + string(data))
	}
	d := newDecoders()
	begin := time.Now()
	var answer []byte
	if err := d.run(t.Context(), archive.RARDecoder, request(unpacktest.RAR3(unpacktest.File{Name: "a", Data: []byte("content")})), func(r io.Reader) (err error) {
		answer, err = io.ReadAll(r)
		return err
	}); err != nil || !strings.Contains(string(answer), "content") {
		t.Errorf("%q, %v", answer, err)
	}
	t.Logf("FIGURES one archive in a process of its own: %v", time.Since(begin))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begin = time.Now()
	if err := d.run(ctx, archive.RARDecoder, request(unpacktest.RAR3Loop(1000)), func(r io.Reader) error {
		_, err := io.ReadAll(r)
		return err
	}); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	if err := d.run(t.Context(), "other", nil, nil); err == nil {
		t.Error("an unknown decoder is started")
	}
	if len(d.places) != 0 {
		t.Error("a place is taken")
	}
	// It is nothing that the help names, and ends by itself without a request.
	c := exec.Command(binary, decodeWord)
	if out, err := c.CombinedOutput(); err == nil || len(out) > 0 {
		t.Errorf("%q, %v", out, err)
	}
}
