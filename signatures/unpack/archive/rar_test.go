package archive

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"spamcatcher/signatures/unpack/format"
)

// rar4Block is a block of RAR 4 with its checksum.
func rar4Block(kind byte, flags uint16, body, data []byte) []byte {
	h := binary.LittleEndian.AppendUint16([]byte{kind}, flags)
	h = binary.LittleEndian.AppendUint16(h, uint16(7+len(body)))
	h = append(h, body...)
	return append(append(binary.LittleEndian.AppendUint16(nil, uint16(crc32.ChecksumIEEE(h))), h...), data...)
}

// rar4 is an archive of RAR 4 with stored members, and flags of archive and members.
func rar4(arc, file uint16, version, method byte, members ...string) []byte {
	b := append([]byte(rarMagic), 0)
	b = append(b, rar4Block(0x73, arc, make([]byte, 6), nil)...)
	for i := 0; i+1 < len(members); i += 2 {
		name, data := members[i], members[i+1]
		h := binary.LittleEndian.AppendUint32(nil, uint32(len(data)))
		h = binary.LittleEndian.AppendUint32(h, uint32(len(data)))
		h = append(h, 2)
		h = binary.LittleEndian.AppendUint32(h, crc32.ChecksumIEEE([]byte(data)))
		h = append(binary.LittleEndian.AppendUint32(h, 0x58000000), version, method)
		h = binary.LittleEndian.AppendUint16(h, uint16(len(name)))
		h = append(binary.LittleEndian.AppendUint32(h, 0x20), name...)
		b = append(b, rar4Block(0x74, 0x8000|file, h, []byte(data))...)
	}
	return append(b, rar4Block(0x7b, 0x4000|arc&1, nil, nil)...)
}

func uvarint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// rar5Block is a block of RAR 5, encrypted if there is a key.
func rar5Block(key []byte, kind, flags uint64, body, extra, data []byte) []byte {
	if len(extra) > 0 {
		flags |= 1
	}
	if data != nil {
		flags |= 2
	}
	h := uvarint(uvarint(nil, kind), flags)
	if flags&1 != 0 {
		h = uvarint(h, uint64(len(extra)))
	}
	if flags&2 != 0 {
		h = uvarint(h, uint64(len(data)))
	}
	h = append(append(h, body...), extra...)
	h = append(uvarint(nil, uint64(len(h))), h...)
	h = append(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(h)), h...)
	if key != nil {
		iv := bytes.Repeat([]byte{7}, 16)
		h = append(iv, encryptCBC(key, iv, h)...)
	}
	return append(h, data...)
}

func encryptCBC(key, iv, b []byte) []byte {
	b = append(bytes.Clone(b), make([]byte, (16-len(b)%16)%16)...)
	block, _ := aes.NewCipher(key)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(b, b)
	return b
}

// A rar5 is what an archive of RAR 5 is made of.
type rar5 struct {
	arc, member  uint64 // flags of the archive, and of the members' blocks
	compression  uint64
	key          string // of the members
	names        bool   // and of the headers
	power        byte
	unpackedSize uint64 // 0: as it is
}

func (a rar5) build(members ...string) []byte {
	salt := bytes.Repeat([]byte{9}, 16)
	var key, header []byte
	if a.key != "" && a.power < 20 {
		key, _ = pbkdf2.Key(sha256.New, a.key, salt, 1<<a.power, 32)
	}
	b := append([]byte(rarMagic), 1, 0)
	if a.names {
		b = append(b, rar5Block(nil, 4, 0, append([]byte{0, 0, a.power}, salt...), nil, nil)...)
		header = key
	}
	b = append(b, rar5Block(header, 1, 0, uvarint(nil, a.arc), nil, nil)...)
	for i := 0; i+1 < len(members); i += 2 {
		name, data := members[i], []byte(members[i+1])
		size := uint64(len(data))
		if a.unpackedSize > 0 {
			size = a.unpackedSize
		}
		body := uvarint(uvarint(uvarint(nil, 4), size), 0x20)
		body = binary.LittleEndian.AppendUint32(body, crc32.ChecksumIEEE(data))
		body = uvarint(uvarint(body, a.compression), 1)
		body = append(uvarint(body, uint64(len(name))), name...)
		var extra []byte
		if a.key != "" {
			iv := bytes.Repeat([]byte{3}, 16)
			record := append(append([]byte{1, 0, 0, a.power}, salt...), iv...)
			extra = append(uvarint(nil, uint64(len(record))), record...)
			if key != nil {
				data = encryptCBC(key, iv, data)
			}
		}
		b = append(b, rar5Block(header, 2, a.member, body, extra, data)...)
	}
	return append(b, rar5Block(header, 5, 0, uvarint(nil, a.arc&1), nil, nil)...)
}

var rarMembers = []string{"note.txt", "harmless text\n", "dir/two.txt", "another harmless text\n"}

func TestRAR(t *testing.T) {
	for name, b := range map[string][]byte{
		"4":                rar4(0, 0, 20, 0x30, rarMembers...),
		"5":                rar5{}.build(rarMembers...),
		"behind a program": append(append(append(stub(), rarMagic...), 7), rar5{}.build(rarMembers...)...),
		"solid":            rar5{arc: 4}.build(rarMembers...),
	} {
		o := open(t, b, format.Limits{}, nil, rar{})
		o.clean(t)
		if len(o.order) != 3 || string(o.files["note.txt"].Data) != rarMembers[1] || string(o.files["dir/two.txt"].Data) != rarMembers[3] {
			t.Errorf("%s: files %q", name, o.order)
		}
	}
}

func TestRAREncrypted(t *testing.T) {
	for _, tt := range []struct {
		name   string
		a      rar5
		keys   []string
		opened bool
		marks  int
	}{
		{"members", rar5{key: "secret1", power: 4}, nil, false, 2},
		{"members", rar5{key: "secret1", power: 4}, []string{"wrong", "secret1"}, true, 0},
		{"members", rar5{key: "secret1", power: 4}, []string{"wrong"}, false, 2},
		{"names", rar5{key: "secret1", power: 4, names: true}, nil, false, 1},
		{"names", rar5{key: "secret1", power: 4, names: true}, []string{"secret1"}, true, 0},
		{"names", rar5{key: "secret1", power: 4, names: true}, []string{"wrong"}, false, 1},
		{"slow key", rar5{key: "secret1", power: 24}, []string{"secret1"}, false, 2},
		{"slow key for names", rar5{key: "secret1", power: 24, names: true}, []string{"secret1"}, false, 1},
	} {
		o := open(t, tt.a.build(rarMembers...), format.Limits{}, tt.keys, rar{})
		if o.marked(format.Encrypted) != tt.marks || o.marked(format.Damaged) > 0 {
			t.Errorf("%s with %q: marks %v", tt.name, tt.keys, o.marks)
		}
		if f := o.files["note.txt"]; tt.opened != (f != nil && string(f.Data) == rarMembers[1] && f.Unlocked && o.marked(format.Unlocked) == 1) {
			t.Errorf("%s with %q: files %q, marks %v", tt.name, tt.keys, o.order, o.marks)
		}
	}
	if o := open(t, rar4(0x80, 4, 29, 0x30, rarMembers...), format.Limits{Run: here}, []string{"x"}, rar{}); o.marked(format.Encrypted) != 1 {
		t.Errorf("names of RAR 4: marks %v", o.marks)
	}
	if o := open(t, rar4(0, 4, 29, 0x30, rarMembers...), format.Limits{}, nil, rar{}); o.marked(format.Encrypted) != 2 {
		t.Errorf("members of RAR 4: marks %v", o.marks)
	}
}

func TestRARRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		b    []byte
		mark string
	}{
		"volume":     {rar5{arc: 1, member: 16}.build(rarMembers[:2]...), format.Unreadable},
		"dictionary": {rar5{compression: 1<<7 | 15<<10, unpackedSize: 1 << 40}.build(rarMembers...), format.LimitBytes},
		"model":      {rar4(0, 0, 29, 0x33, "a", "\xa0\xffxxxxxxxxxxxxxxxx"), format.LimitBytes},
		"old":        {rar4(0, 0, 15, 0x33, "a", "xxxxxxxxxxxxxxxx"), format.Unreadable},
		"damage":     {rar4(0, 0, 29, 0x33, "a", "\x00\x01\x02xxxxxxxxxxxx"), format.Damaged},
	} {
		var o opening
		got := allocated(func() { o = open(t, tt.b, format.Limits{Run: here}, nil, rar{}) })
		if o.marked(tt.mark) != 1 || got > 8<<20 {
			t.Errorf("%s: marks %v, %d KiB", name, o.marks, got>>10)
		}
	}
}

func TestRARDamage(t *testing.T) {
	truncations(t, rar4(0, 0, 20, 0x30, rarMembers...), rar{})
	truncations(t, rar5{}.build(rarMembers...), rar{})
	b := rar5{}.build(rarMembers...)
	b[bytes.Index(b, []byte("harmless"))] ^= 1
	if o := open(t, b, format.Limits{}, nil, rar{}); o.marked(format.Damaged) != 1 || len(o.order) != 3 {
		t.Errorf("a wrong checksum: marks %v, files %q", o.marks, o.order)
	}
}

func FuzzRAR(f *testing.F) {
	f.Add(rar4(0, 0, 20, 0x30, rarMembers...))
	f.Add(rar4(0, 0, 29, 0x33, rarMembers...))
	f.Add(rar5{}.build(rarMembers...))
	f.Add(rar5{compression: 1 << 7}.build(rarMembers...))
	f.Add(rar5{key: "secret1", power: 2, names: true}.build(rarMembers...))
	fuzz(f, rar{alone: true})
}
