package clamav

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
)

// longest is the longest line that is read, in bytes.
const longest = 256 << 10

// lines calls each for every line of a file that is neither blank nor a comment,
// without its end. The line is valid until each returns.
func lines(name string, each func(n int, line []byte)) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, longest)
	var long error
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			if long == nil {
				long = fmt.Errorf("line %d is longer than %d bytes, and was skipped", n, longest)
			}
			for err == bufio.ErrBufferFull {
				_, err = in.ReadSlice('\n')
			}
			line = nil
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(bytes.TrimSpace(line)) > 0 && line[0] != '#' {
			each(n, line)
		}
		if err == io.EOF {
			return long
		}
		if err != nil {
			return err
		}
	}
}

// anySize stands for a signature of files of every size.
const anySize = math.MaxUint32

// A hashLine is one line of a file of hashes.
type hashLine struct {
	buffer         [32]byte
	digest         []byte // of 16, 20 or 32 bytes
	size           uint32
	name           []byte
	least, highest int // functionality levels, 0 none
}

// parse reads digest:size:name[:least level[:highest level]]. What it keeps is valid
// as long as line.
func (h *hashLine) parse(line []byte) error {
	h.least, h.highest = 0, 0
	sum, rest, ok := bytes.Cut(line, []byte{':'})
	size, name, ok2 := bytes.Cut(rest, []byte{':'})
	if !ok || !ok2 {
		return errors.New("is not digest:size:name")
	}
	if len(sum) != 32 && len(sum) != 40 && len(sum) != 64 {
		return errors.New("digest is neither MD5, SHA1 nor SHA256")
	}
	if _, err := hex.Decode(h.buffer[:], sum); err != nil {
		return errors.New("digest is not hexadecimal")
	}
	h.digest = h.buffer[:len(sum)/2]
	if string(size) == "*" {
		h.size = anySize
	} else {
		n, err := strconv.ParseUint(string(size), 10, 64)
		if err != nil {
			return errors.New("size is not a number")
		}
		if n >= anySize {
			return skip("hash of a file of 4 GiB or more")
		}
		h.size = uint32(n)
	}
	// The levels are the last one or two fields; a name may hold colons.
	for n := 0; n < 2; n++ {
		i := bytes.LastIndexByte(name, ':')
		if i <= 0 {
			break
		}
		l, err := strconv.Atoi(string(name[i+1:]))
		if err != nil || l < 0 {
			break
		}
		h.least, h.highest = l, h.least
		name = name[:i]
	}
	if len(name) == 0 || len(name) > 1024 {
		return errors.New("name is empty or longer than 1,024 bytes")
	}
	h.name = name
	return nil
}
