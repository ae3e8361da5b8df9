package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// inMemory is the size, in octets, up to which a message is held in memory during an attempt; a longer one is read twice.
const inMemory = 256 << 10

// errPoison: the message has a bare CR, a bare LF or a NUL and can never be sent.
// RFC 5321 section 2.3.8: CR and LF only occur together as a line end, and a client must not send them otherwise; a
// server that takes one of them for a line end would see another end of data than we do.
var errPoison = errors.New("bare CR, bare LF or NUL in the message")

// A message is a body that was looked through before anything is sent.
type message struct {
	whole    []byte        // all of it, when it is short
	body     io.ReadSeeker // otherwise
	size     int64         // octets as they will be sent, without stuffed dots and the final one
	eightBit bool          // has octets above 127
	utf8Head bool          // has them in its header
}

// load reads all of body, which has about size octets. It fails with errPoison when the message must not be sent, and with another error when it cannot be read.
func load(body io.ReadSeeker, size int64) (*message, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("going to the start of the message: %w", err)
	}
	m := &message{body: body}
	var lines strict
	var head headScan
	buf := make([]byte, max(4<<10, min(size+1, inMemory)))
	for first := true; ; first = false {
		n, err := io.ReadFull(body, buf)
		p := buf[:n]
		if e := lines.check(p); e != nil {
			return nil, e
		}
		head.see(p)
		m.size += int64(n)
		if !m.eightBit {
			m.eightBit = !asciiBytes(p)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			if first {
				m.whole = p
			}
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the message: %w", err)
		}
	}
	if lines.cr {
		return nil, errPoison
	}
	m.utf8Head = head.eightBit
	if m.size > 0 && !lines.bol {
		m.size += 2
	}
	return m, nil
}

// copyTo sends the message through w, to its end.
func (m *message) copyTo(w *stuffer) error {
	if m.whole != nil {
		if _, err := w.Write(m.whole); err != nil {
			return err
		}
		return w.end()
	}
	if _, err := m.body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := m.body.Read(buf)
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return w.end()
		}
		if err != nil {
			return err
		}
	}
}

// strict looks at a stream of octets piece by piece and finds a CR or LF that is not part of CRLF, and NUL.
type strict struct {
	cr  bool // the last octet was CR
	bol bool // the last two were CRLF
}

func (s *strict) check(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if bytes.IndexByte(p, 0) >= 0 {
		return errPoison
	}
	if s.cr {
		if p[0] != '\n' {
			return errPoison
		}
		p = p[1:]
		s.cr, s.bol = false, true
	}
	for len(p) > 0 {
		cr, lf := bytes.IndexByte(p, '\r'), bytes.IndexByte(p, '\n')
		switch {
		case cr < 0 && lf < 0:
			s.bol = false
			return nil
		case lf < 0 && cr == len(p)-1:
			s.cr, s.bol = true, false
			return nil
		case cr < 0 || lf != cr+1:
			return errPoison
		}
		s.bol = true
		p = p[lf+1:]
	}
	return nil
}

// headScan finds octets above 127 before the first empty line of a stream of CRLF lines.
type headScan struct {
	done     bool
	eightBit bool
	tail     []byte // the last octets seen, at most 3
}

func (h *headScan) see(p []byte) {
	if h.done || len(p) == 0 {
		return
	}
	if h.tail == nil {
		h.tail = []byte("\r\n") // an empty line at once: no header
	}
	joined := append(h.tail, p[:min(4, len(p))]...)
	end := len(p)
	if i := bytes.Index(joined, []byte("\r\n\r\n")); i >= 0 {
		h.done, end = true, max(0, i+4-len(h.tail))
	} else if i := bytes.Index(p, []byte("\r\n\r\n")); i >= 0 {
		h.done, end = true, i
	}
	if !asciiBytes(p[:end]) {
		h.eightBit = true
	}
	all := append(append([]byte(nil), h.tail...), p[max(0, len(p)-3):]...)
	h.tail = all[max(0, len(all)-3):]
}

func asciiBytes(p []byte) bool {
	for _, c := range p {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// A stuffer turns a message into what follows DATA: dots at the beginning of a line doubled, CRLF at the end, and the dot line.
// It passes complete blocks to flush, the last one together with the dot line, so that nothing that ends the message is sent
// before all of it was seen. It never lets a bare CR, a bare LF or a NUL through: it fails with errPoison first.
type stuffer struct {
	buf   []byte
	lines strict
	any   bool
	flush func(block []byte, last bool) error
}

func (s *stuffer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		block := p[:min(len(p), 16<<10)]
		p = p[len(block):]
		if len(s.buf)+2*len(block) > cap(s.buf)-5 {
			if err := s.send(false); err != nil {
				return 0, err
			}
		}
		if err := s.stuff(block); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// stuff appends block to the buffer.
func (s *stuffer) stuff(block []byte) error {
	start := !s.any || s.lines.bol
	if err := s.lines.check(block); err != nil {
		return err
	}
	s.any = true
	for len(block) > 0 {
		// RFC 5321 section 4.5.2: a line that begins with a dot gets another one.
		if start && block[0] == '.' {
			s.buf = append(s.buf, '.')
		}
		end := bytes.IndexByte(block, '\n') + 1
		if end == 0 {
			end = len(block)
		}
		start = block[end-1] == '\n'
		s.buf = append(s.buf, block[:end]...)
		block = block[end:]
	}
	return nil
}

// send flushes what is in the buffer; a CR at its end stays until the LF was seen.
func (s *stuffer) send(last bool) error {
	keep := 0
	if s.lines.cr && len(s.buf) > 0 {
		keep = 1
	}
	if n := len(s.buf) - keep; n > 0 {
		if err := s.flush(s.buf[:n], last); err != nil {
			return err
		}
		s.buf = append(s.buf[:0], s.buf[n:]...)
	}
	return nil
}

// end completes the last line, adds the dot line and flushes.
func (s *stuffer) end() error {
	if s.lines.cr {
		return errPoison
	}
	if s.any && !s.lines.bol {
		s.buf = append(s.buf, '\r', '\n')
	}
	s.buf = append(s.buf, '.', '\r', '\n')
	return s.send(true)
}
