package archive

import (
	"bytes"
	"encoding/binary"
	"testing"

	"spamcatcher/signatures/unpack/format"
)

func hasDisk(t *testing.T, b []byte) {
	t.Helper()
	o := open(t, b, format.Limits{}, nil, disk{})
	o.clean(t)
	o.has(t, "a longer name of words.txt", "words.txt")
	o.has(t, "dir/deep.txt", "dir/deep.txt")
	o.has(t, "note.txt", "note.txt")
	o.has(t, "code.bin", "code.bin")
	if len(o.order) != 5 {
		t.Errorf("files %q", o.order)
	}
}

// partitioned puts a file system behind a table of partitions.
func partitioned(b []byte) []byte {
	const start = 63
	head := make([]byte, start*512)
	e := head[446:]
	e[0], e[4] = 0x80, 6
	binary.LittleEndian.PutUint32(e[8:], start)
	binary.LittleEndian.PutUint32(e[12:], uint32(len(b)/512))
	head[510], head[511] = 0x55, 0xaa
	return append(head, b...)
}

// growing is a VHD that grows: blocks of zeros have no place in it.
func growing(b []byte) []byte {
	const block = 64 << 10
	be := binary.BigEndian
	n := (len(b) + block - 1) / block
	foot := make([]byte, 512)
	copy(foot, vhdMagic)
	be.PutUint64(foot[16:], 512)
	be.PutUint64(foot[48:], uint64(len(b)))
	be.PutUint32(foot[60:], 3)
	h := make([]byte, 1024)
	copy(h, "cxsparse")
	be.PutUint64(h[8:], 1<<64-1)
	be.PutUint64(h[16:], 1536)
	be.PutUint32(h[28:], uint32(n))
	be.PutUint32(h[32:], block)
	table := bytes.Repeat([]byte{0xff}, (4*n+511)&^511)
	be.PutUint32(foot[8:], 2)
	be.PutUint32(foot[12:], 1<<16)
	be.PutUint64(foot[40:], uint64(len(b)))
	be.PutUint32(h[24:], 1<<16)
	be.PutUint32(foot[64:], ^sumOf(foot))
	be.PutUint32(h[36:], ^sumOf(h))
	var blocks []byte
	for i := range n {
		p := make([]byte, block)
		copy(p, b[i*block:])
		if bytes.Count(p, []byte{0}) == block {
			continue
		}
		be.PutUint32(table[4*i:], uint32((1536+len(table)+len(blocks))/512))
		blocks = append(append(blocks, bytes.Repeat([]byte{0xff}, 512)...), p...)
	}
	return bytes.Join([][]byte{foot, h, table, blocks, foot}, nil)
}

// guided puts a file system behind a GUID partition table.
func guided(b []byte) []byte {
	out := partitioned(b)
	out[446+4] = 0xee
	le := binary.LittleEndian
	le.PutUint32(out[446+8:], 1)
	h := out[512:]
	copy(h, "EFI PART")
	le.PutUint64(h[72:], 2)
	le.PutUint32(h[80:], 4)
	le.PutUint32(h[84:], 128)
	copy(out[1024:], "\x16\xe3\xc9\xe3")
	out[1024+128] = 1
	le.PutUint64(out[1024+128+32:], 63)
	return out
}

func sumOf(b []byte) (sum uint32) {
	for _, c := range b {
		sum += uint32(c)
	}
	return sum
}

// The images were made by mtools.
func TestDisk(t *testing.T) {
	for _, name := range []string{"fat12.img", "fat16.img", "fat32.img"} {
		t.Run(name, func(t *testing.T) {
			b := expanded(t, name)
			hasDisk(t, b)
			hasDisk(t, partitioned(b))
			hasDisk(t, growing(partitioned(b)))
			hasDisk(t, growing(b))
			hasDisk(t, growing(guided(b)))
			fixed := make([]byte, 512)
			copy(fixed, vhdMagic)
			hasDisk(t, append(b, fixed...))
		})
	}
}

// A deleted file is nothing that anybody sees.
func TestDiskDeleted(t *testing.T) {
	b := expanded(t, "fat12.img")
	at := bytes.Index(b, []byte("CODE    BIN"))
	b[at] = 0xe5
	o := open(t, b, format.Limits{}, nil, disk{})
	o.clean(t)
	o.has(t, "note.txt", "note.txt")
	if len(o.order) != 4 {
		t.Errorf("files %q", o.order)
	}
}

func TestDiskUnreadable(t *testing.T) {
	ntfs := make([]byte, 4096)
	copy(ntfs, "\xeb\x52\x90NTFS    ")
	ntfs[510], ntfs[511] = 0x55, 0xaa
	differing := growing(make([]byte, 4096))
	differing[63] = 4
	for name, b := range map[string][]byte{"vhdx": append([]byte("vhdxfile"), make([]byte, 2048)...), "ntfs": ntfs, "ntfs on a partition": partitioned(ntfs), "differences": differing} {
		if o := open(t, b, format.Limits{}, nil, disk{}); o.marked(format.Unreadable) != 1 || len(o.marks) != 1 {
			t.Errorf("%s: marks %v", name, o.marks)
		}
	}
}

// A directory that is in itself, and a chain that never ends.
func TestDiskHostile(t *testing.T) {
	b := expanded(t, "fat16.img")
	table, sector := int(le16(b[14:]))*512, 512
	root := table + int(b[16])*int(le16(b[22:]))*sector
	for at := root; b[at] != 0; at += 32 {
		if b[at+11] == 0x0f || b[at] == 0xe5 {
			continue
		}
		if b[at+11]&16 != 0 { // its first entry is the directory again, under another name
			cluster := int(le16(b[at+26:]))
			dir := root + int(le16(b[17:]))*32 + (cluster-2)*int(b[13])*512
			copy(b[dir:], b[at:at+32])
			copy(b[dir:], "AGAIN   ")
			continue
		}
		binary.LittleEndian.PutUint32(b[at+28:], 0xf0000000)
		cluster := le16(b[at+26:])
		binary.LittleEndian.PutUint16(b[table+2*int(cluster):], cluster)
	}
	var o opening
	got := allocated(func() { o = open(t, b, format.Limits{}, nil, disk{}) })
	if len(o.order) > 10 || got > 200<<20 || len(o.marks) == 0 {
		t.Errorf("%d files, marks %v, %d KiB", len(o.order), o.marks, got>>10)
	}
}

func TestDiskDamage(t *testing.T) {
	b := growing(partitioned(expanded(t, "fat12.img")))
	truncations(t, b, disk{})
	for at := 0; at < 12000; at += 7 {
		b[at] ^= 0xff
		open(t, b, small(), nil, disk{})
		b[at] ^= 0xff
	}
}

func FuzzDisk(f *testing.F) {
	b := expanded(f, "fat12.img")[:64<<10]
	f.Add(b)
	f.Add(partitioned(b))
	f.Add(growing(b))
	f.Add(guided(b))
	fuzz(f, disk{})
}
