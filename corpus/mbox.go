package corpus

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
	"strconv"
)

// How an mbox is read. Messages stand one after the other, each behind a
// separator: a line "From SENDER DATE" at the beginning of the file or after
// an empty line. Programs that write the format quote such lines in mail by
// a ">" in front (mboxo: only "From ", mboxrd: also ">From ", so that it can
// be undone); many old ones do not quote at all. So a separator must also
// have a date with a time of day and a year, which sentences that begin with
// "From" hardly have. Length fields (mboxcl) are not believed: they are
// wrong as soon as somebody edits the file.

// separatorForm is what an mbox separator looks like: "From ", perhaps a
// sender, a day of the week, a month, and then a time of day and a year in
// either order.
var separatorForm = regexp.MustCompile(`^From .*\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? .*\d{1,2}:\d\d`)

var yearForm = regexp.MustCompile(`\b(?:19|20)\d\d\b`)

// maxSeparator bounds the length of a separator line, in bytes.
const maxSeparator = 1000

func separator(line []byte) bool {
	return len(line) <= maxSeparator && bytes.HasPrefix(line, []byte("From ")) && separatorForm.Match(line) && yearForm.Match(line)
}

// mbox yields the messages of an mbox. set "" takes the file's name.
func (w *walker) mbox(path, name, set string, label Label) bool {
	f, _, err := openRegular(path)
	if err != nil {
		return w.yield(Message{Path: path, Name: name}, err)
	}
	defer f.Close()
	number, more := 0, true
	err = eachMessage(f, func(offset, length int64) bool {
		number++
		more = w.message(Message{Path: path, Name: name + "#" + strconv.Itoa(number), set: set, offset: offset, length: length}, label)
		return more
	})
	if err != nil && more {
		return w.yield(Message{Path: path, Name: name}, err)
	}
	return more
}

// eachMessage calls each with the place of every message of an mbox that is
// not empty: separator and the empty line before the next one left out.
func eachMessage(r io.Reader, each func(offset, length int64) bool) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var (
		at     int64 // of the line under way
		begin  int64 = -1
		end    int64 // of the message, without an empty line at its end
		empty  = true
		middle = false // of a line longer than the buffer
	)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if len(line) > 0 {
			text := bytes.TrimRight(line, "\r\n")
			if !middle && empty && separator(text) {
				if begin >= 0 && end > begin && !each(begin, end-begin) {
					return nil
				}
				begin = at + int64(len(line))
				end = begin
				empty = false
			} else {
				// The empty line before a separator belongs to the format.
				blank := !middle && len(text) == 0
				if blank && empty {
					end = at // the one before was the message's own
				}
				if !blank {
					end = at + int64(len(line))
				}
				empty = blank
			}
			at += int64(len(line))
		}
		middle = err == bufio.ErrBufferFull
		if err == io.EOF {
			break
		}
	}
	if begin >= 0 && end > begin {
		each(begin, end-begin)
	}
	return nil
}

// unquote takes one ">" from every line of ">From ", ">>From "…
func unquote(raw []byte) []byte {
	if !bytes.Contains(raw, []byte(">From ")) {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for line := range bytes.Lines(raw) {
		if rest := bytes.TrimLeft(line, ">"); len(rest) < len(line) && bytes.HasPrefix(rest, []byte("From ")) {
			line = line[1:]
		}
		out = append(out, line...)
	}
	return out
}
