package clamav

import (
	"encoding/binary"
	"errors"
)

const (
	nameBlock   = 1 << 18 // bytes
	maxPrefixes = 1 << 16
)

// names keeps very many names in few bytes. Most end in a number of their own and
// begin as many others do: the beginning is kept once, the number in blocks, and a
// name is known by where it is there.
type names struct {
	blocks   [][]byte
	prefixes []string
	known    map[string]int // while it is filled
}

// cut is where the number at the end of a name begins.
func cut(name []byte) int {
	i := len(name)
	for i > 0 && (name[i-1] >= '0' && name[i-1] <= '9' || name[i-1] == '-' || name[i-1] == '.' || name[i-1] == '_') {
		i--
	}
	return i
}

// add keeps name, of at most 1,024 bytes, and returns its place.
func (n *names) add(name []byte) (uint32, error) {
	i := cut(name)
	prefix, ok := n.known[string(name[:i])]
	if !ok {
		if n.known == nil {
			n.known = map[string]int{}
			n.known[""] = 0
			n.prefixes = []string{""}
		}
		if len(n.prefixes) < maxPrefixes && i > 0 {
			prefix = len(n.prefixes)
			n.prefixes = append(n.prefixes, string(name[:i]))
			n.known[n.prefixes[prefix]] = prefix
		} else {
			i = 0
		}
	}
	last := len(n.blocks) - 1
	if last < 0 || len(n.blocks[last])+len(name)+8 > nameBlock {
		if len(n.blocks) >= 1<<32/nameBlock {
			return 0, errors.New("names of signatures take more than 4 GiB")
		}
		var block []byte
		if last >= 0 {
			block = make([]byte, 0, nameBlock)
		}
		n.blocks = append(n.blocks, block)
		last++
	}
	at := last*nameBlock + len(n.blocks[last])
	b := binary.AppendUvarint(n.blocks[last], uint64(prefix))
	b = binary.AppendUvarint(b, uint64(len(name)-i))
	n.blocks[last] = append(b, name[i:]...)
	return uint32(at), nil
}

// seal frees what only add needs.
func (n *names) seal() { n.known = nil }

func (n *names) get(at uint32) string {
	b := n.blocks[at/nameBlock][at%nameBlock:]
	prefix, k := binary.Uvarint(b)
	length, l := binary.Uvarint(b[k:])
	b = b[k+l:]
	return n.prefixes[prefix] + string(b[:length])
}
