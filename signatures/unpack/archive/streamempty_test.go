package archive

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// TestEmptyRuns: blocks and members without content come back to look at the clock,
// take no memory each, and what follows them is found.
func TestEmptyRuns(t *testing.T) {
	const n = 200_000
	text := strings.Repeat("what follows ", 20)
	// A stream's header (12 bytes), then a block of no chunks: its header, the end of
	// LZMA2, and padding. There is no check.
	header := "\xfd7zXZ\x00\x00\x00\xff\x12\xd9\x41"
	block := "\x02\x00\x21\x01\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00"
	stored := "\x02\x00\x21\x01\x00\x00\x00\x00\x00\x00\x00\x00" + "\x01\x01\x03" + text + "\x00"
	stored += strings.Repeat("\x00", (4-(len(text)+4)%4)%4)
	xz := []byte(header + strings.Repeat(block, n) + stored)
	var gz []byte
	empty := unpacktest.Gzip(unpacktest.File{})
	gz = append(bytes.Repeat(empty, n), unpacktest.Gzip(unpacktest.File{Data: []byte(text)})...)
	for name, c := range map[string]struct {
		open func() io.Reader
		all  []byte
	}{
		"xz":   {func() io.Reader { return newXZ(xz, 1<<20) }, xz},
		"gzip": {func() io.Reader { r, _, _ := openGzip(gz); return r }, gz},
	} {
		r, got, turns, longest := c.open(), "", 0, time.Duration(0)
		buf := make([]byte, 4096)
		took := allocated(func() {
			for ; turns < n; turns++ {
				begin := time.Now()
				k, err := r.Read(buf)
				longest = max(longest, time.Since(begin))
				got += string(buf[:k])
				if err != nil || got == text {
					break
				}
			}
		})
		if got != text || took > 8<<20 || turns < n/emptyRun/2 {
			t.Errorf("%s: %q, %d KiB, %d calls", name, got, took>>10, turns)
		}
		t.Logf("FIGURES %s: %d empty ones of %d bytes: longest call %v, %d KiB", name, n, len(c.all), longest, took>>10)
		// Time that is over is noticed in the middle.
		o := open(t, c.all, format.Limits{Time: time.Millisecond}, nil, streams()...)
		if o.marked(format.LimitTime) != 1 {
			t.Errorf("%s: %v", name, o.marks)
		}
	}
}
