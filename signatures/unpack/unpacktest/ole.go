package unpacktest

import (
	"encoding/binary"
	"sort"
	"strings"
)

// OLE is a compound file ([MS-CFB]) of streams, whose names are paths with "/".
func OLE(streams ...File) []byte {
	root := &storage{name: "Root Entry", kind: 5}
	for _, s := range streams {
		root.add(strings.Split(s.Name, "/"), s.Data)
	}
	var list []*storage
	root.number(&list)

	var big, mini buffer
	var next, miniNext []uint32
	const end, free, fatSector = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
	chain := func(table *[]uint32, n int) uint32 {
		if n == 0 {
			return end
		}
		first := uint32(len(*table))
		for i := range n {
			*table = append(*table, first+uint32(i)+1)
		}
		(*table)[len(*table)-1] = end
		return first
	}
	put := func(data []byte) uint32 {
		at := chain(&next, (len(data)+511)/512)
		big.Write(data)
		big.pad(512)
		return at
	}
	for _, s := range list {
		switch {
		case s.kind != 2:
		case len(s.data) >= 4096:
			s.start = put(s.data)
		default:
			s.start = chain(&miniNext, (len(s.data)+63)/64)
			mini.Write(s.data)
			mini.pad(64)
		}
	}
	root.start, root.data = put(mini.Bytes()), mini.Bytes()

	var directory, miniTable buffer
	for _, s := range list {
		directory.Write(s.entry())
	}
	for directory.Len()%512 != 0 {
		directory.Write((&storage{left: free, right: free, child: free}).entry())
	}
	for len(miniNext)%128 != 0 {
		miniNext = append(miniNext, free)
	}
	miniTable.u32(miniNext...)
	directoryAt := put(directory.Bytes())
	miniAt := put(miniTable.Bytes())
	tables := 1
	for tables*128 < len(next)+tables {
		tables++
	}
	tableAt := uint32(len(next))
	for range tables {
		next = append(next, fatSector)
	}
	for len(next)%128 != 0 {
		next = append(next, free)
	}
	if tables > 109 {
		panic("unpacktest: compound file over 7 MB")
	}

	var b buffer
	b.text("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	b.Write(make([]byte, 16))
	b.u16(0x3E, 3, 0xFFFE, 9, 6, 0, 0, 0)
	b.u32(0, uint32(tables), directoryAt, 0, 4096, miniAt, uint32(miniTable.Len()/512), end, 0)
	for i := range 109 {
		if i < tables {
			b.u32(tableAt + uint32(i))
		} else {
			b.u32(free)
		}
	}
	b.Write(big.Bytes())
	b.u32(next...)
	return b.Bytes()
}

// A storage is a directory entry: the root (5), a storage (1) or a stream (2).
type storage struct {
	name               string
	kind               byte
	data               []byte
	children           []*storage
	id                 uint32
	left, right, child uint32
	start              uint32
}

func (s *storage) add(path []string, data []byte) {
	for _, c := range s.children {
		if c.name == path[0] && len(path) > 1 {
			c.add(path[1:], data)
			return
		}
	}
	c := &storage{name: path[0], kind: 2, data: data}
	if s.children = append(s.children, c); len(path) > 1 {
		c.kind, c.data = 1, nil
		c.add(path[1:], data)
	}
}

// number gives every entry its place in the directory, and makes a balanced tree
// of the children of each.
func (s *storage) number(list *[]*storage) {
	const none = 0xFFFFFFFF
	s.id, s.left, s.right, s.child = uint32(len(*list)), none, none, none
	*list = append(*list, s)
	sort.Slice(s.children, func(i, j int) bool {
		a, b := s.children[i].name, s.children[j].name
		if len(a) != len(b) {
			return len(a) < len(b)
		}
		return strings.ToUpper(a) < strings.ToUpper(b)
	})
	for _, c := range s.children {
		c.number(list)
	}
	var tree func(list []*storage) uint32
	tree = func(list []*storage) uint32 {
		if len(list) == 0 {
			return none
		}
		m := len(list) / 2
		list[m].left, list[m].right = tree(list[:m]), tree(list[m+1:])
		return list[m].id
	}
	s.child = tree(s.children)
}

func (s *storage) entry() []byte {
	e := make([]byte, 128)
	if s.kind != 0 {
		name := wide(s.name + "\x00")
		copy(e[:64], name)
		binary.LittleEndian.PutUint16(e[64:], uint16(len(name)))
	}
	e[66], e[67] = s.kind, 1 // black
	binary.LittleEndian.PutUint32(e[68:], s.left)
	binary.LittleEndian.PutUint32(e[72:], s.right)
	binary.LittleEndian.PutUint32(e[76:], s.child)
	binary.LittleEndian.PutUint32(e[116:], s.start)
	binary.LittleEndian.PutUint32(e[120:], uint32(len(s.data)))
	return e
}

// Package is the stream "\x01Ole10Native" of a file that was dragged into a
// document.
func Package(f File) []byte {
	var b buffer
	b.u16(2)
	b.text(f.Name + "\x00C:\\Temp\\" + f.Name + "\x00")
	b.u16(0, 3)
	path := "C:\\Temp\\" + f.Name + "\x00"
	b.u32(uint32(len(path)))
	b.text(path)
	b.u32(uint32(len(f.Data)))
	b.Write(f.Data)
	return append(binary.LittleEndian.AppendUint32(nil, uint32(b.Len())), b.Bytes()...)
}

// Doc is a Word binary document with a file dragged into it.
func Doc(f File) []byte {
	return OLE(File{"WordDocument", wordStream()}, File{"ObjectPool/_1234567890/\x01Ole10Native", Package(f)})
}

// wordStream is the beginning of a WordDocument stream, and text.
func wordStream() []byte {
	b := make([]byte, 4096)
	copy(b, "\xec\xa5\xc1\x00")
	copy(b[1024:], "Please see the object below.")
	return b
}

// DocMacro is a Word binary document with a module of macros.
func DocMacro(source string) []byte {
	streams := []File{{"WordDocument", wordStream()}}
	for _, f := range project(source) {
		streams = append(streams, File{"Macros/" + f.Name, f.Data})
	}
	return OLE(streams...)
}

// VBA is the file vbaProject.bin of a newer document, with a module of macros.
func VBA(source string) []byte { return OLE(project(source)...) }

// Msg is a mail as Outlook saves it, with a file attached ([MS-OXMSG]).
func Msg(f File) []byte {
	return OLE(
		File{"__properties_version1.0", make([]byte, 32)},
		File{"__substg1.0_0037001F", wide("Report")},
		File{"__substg1.0_1000001F", wide("Please see the file.")},
		File{"__attach_version1.0_#00000000/__properties_version1.0", make([]byte, 8)},
		File{"__attach_version1.0_#00000000/__substg1.0_3707001F", wide(f.Name)},
		File{"__attach_version1.0_#00000000/__substg1.0_37010102", f.Data})
}
