package signatures_test

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/signatures"
	"spamcatcher/signatures/unpack/format"
	. "spamcatcher/signatures/unpack/unpacktest"
	"spamcatcher/signatures/yara"
)

// stuck is a decoder that never looks at the clock until it is freed.
type stuck struct{ free, begun chan struct{} }

func (s stuck) run(_ context.Context, _ string, _ io.Reader, out func(io.Reader) error) error {
	s.begun <- struct{}{}
	<-s.free
	return out(strings.NewReader("e"))
}

func found(hits []engine.Hit) (names []string) {
	for _, h := range hits {
		names = append(names, h.Symbol)
	}
	return names
}

// TestLeftAlone: a decoder that does not come back costs nothing but what it would
// have found, and is told; while many are at it no further one is begun.
func TestLeftAlone(t *testing.T) {
	s := stuck{make(chan struct{}), make(chan struct{}, 100)}
	check := signatures.New(signatures.Config{Limits: format.Limits{Run: s.run, Time: 50 * time.Millisecond}})
	locked := Attached(octets, File{Name: "a.rar", Data: RAR3(File{Name: "a.txt", Data: []byte("text")})})
	page := Attached("application/zip", File{Name: "b.zip", Data: Zip(Deflated, File{Name: "b.txt", Data: []byte(eicar)})})
	mail := func(parts ...Part) *engine.Mail {
		return &engine.Mail{Message: message.Parse(Letter{Parts: parts}.Bytes(), message.Limits{}), Session: engine.Session{Client: netip.MustParseAddr("192.0.2.1")}}
	}
	virus := mail(page, locked, Attached(octets, File{Name: "c.txt", Data: []byte("some text")}))
	for i := range 4 {
		begin := time.Now()
		hits, err := check.Inspect(t.Context(), virus)
		if got := found(hits); err != nil || !slices.Contains(got, signatures.Symbol) || !slices.Contains(got, "UNPACK_LIMIT_TIME") {
			t.Errorf("call %d: %v, %v", i, hits, err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("call %d took %v", i, took)
		}
	}
	hits, err := check.Inspect(t.Context(), virus)
	if got := found(hits); err != nil || len(s.begun) != 4 || !slices.Contains(got, signatures.Symbol) || !slices.Contains(got, "ARCHIVE_UNREADABLE") {
		t.Errorf("while four are at work: %v, %v, %d begun", hits, err, len(s.begun))
	}
	close(s.free)
	for range 1000 { // those that were left alone end
		if hits, _ = check.Inspect(t.Context(), virus); slices.Equal(found(hits), []string{signatures.Symbol}) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("they never ended: %v", hits)
}

// TestBeforeDeadline: a check whose time is shorter than what it takes to scan a
// large message tells of a small file in it before its context ends.
func TestBeforeDeadline(t *testing.T) {
	check := allSignatures(t)
	large := make([]byte, 12<<20)
	for i := range large {
		large[i] = byte(i*i>>7) | 1
	}
	m := &engine.Mail{Message: message.Parse(Letter{Parts: []Part{
		Attached(octets, File{Name: "large.bin", Data: large}),
		Attached(octets, File{Name: "eicar.com", Data: []byte(eicar)}),
	}}.Bytes(), message.Limits{})}
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
		hits, err := check.Inspect(ctx, m)
		if got := found(hits); err != nil || !slices.Contains(got, signatures.Symbol) {
			t.Errorf("%v, %v", hits, err)
		}
		if len(hits) < 2 && yara.Available() == nil { // without YARA nothing takes that long
			t.Errorf("nothing says that not all was looked at: %v", hits)
		}
		cancel()
	}
}
