package document

import (
	"bytes"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha1"
	"encoding/binary"

	"spamcatcher/signatures/unpack/format"
)

// unlockWorkbook is the workbook stream as it is or, when it is encrypted and a
// password opens it, deciphered; nil when none does.
func unlockWorkbook(j *format.Job, f *format.File, b []byte) ([]byte, error) {
	var pass []byte
	n := 0
	eachRecord(b, func(id uint16, _ int, v []byte) bool {
		if n++; id == recordFilePass {
			pass = v
		}
		return pass == nil && n < 64 // [MS-XLS] section 2.1.7.20.1: it comes near the start
	})
	if pass == nil {
		return b, nil
	}
	for _, password := range candidates(j) {
		if err := j.Check(); err != nil {
			return nil, err
		}
		plain, err := decipherWorkbook(j, b, pass, password)
		if err != nil {
			return nil, err
		}
		if plain != nil {
			if password != defaultPassword {
				j.Mark(f, format.Unlocked, password)
			}
			return plain, j.Emit(&format.File{Kind: format.Stream, Name: "Workbook", Type: "application/x-biff", Data: plain, Unlocked: password != defaultPassword})
		}
	}
	j.Mark(f, format.OfficeLocked, "")
	return nil, nil
}

// decipherWorkbook returns nil when the password is wrong or the method unknown.
// [MS-XLS] section 2.4.117: FilePass.
func decipherWorkbook(j *format.Job, b, pass []byte, password string) ([]byte, error) {
	le := binary.LittleEndian
	switch {
	case len(pass) == 4 || len(pass) >= 6 && le.Uint16(pass) == 0:
		// Before Excel 97 the record is key and verifier alone.
		key := pass[len(pass)-4:]
		if len(pass) > 6 {
			key = pass[2:6]
		}
		if obfuscationVerifier(password) != le.Uint16(key[2:]) {
			return nil, nil
		}
		return clearObfuscation(j, b, password, le.Uint16(key))
	case len(pass) >= 54 && le.Uint16(pass) == 1 && le.Uint16(pass[2:]) == 1:
		key := rc4Key(password, pass[6:22])
		return decipherRC4(j, b, key, pass[22:38], pass[38:54], func(b []byte) []byte { s := md5.Sum(b); return s[:] })
	case len(pass) >= 14 && le.Uint16(pass) == 1 && le.Uint16(pass[4:]) == 2:
		key, v := cryptoAPIKey(password, pass[6:])
		if key == nil {
			return nil, nil
		}
		return decipherRC4(j, b, key, v[20:36], v[40:60], func(b []byte) []byte { s := sha1.Sum(b); return s[:] })
	}
	return nil, nil
}

// rc4Key derives the key of a block by the method of Excel 97.
// [MS-OFFCRYPTO] section 2.3.6.2.
func rc4Key(password string, salt []byte) func(block uint32) []byte {
	h := md5.Sum(wide(password))
	round := md5.Sum(bytes.Repeat(append(append([]byte(nil), h[:5]...), salt...), 16))
	return func(block uint32) []byte {
		k := md5.Sum(append(append([]byte(nil), round[:5]...), number(block)...))
		return k[:]
	}
}

// cryptoAPIKey derives the key of a block by the method of Excel 2002, and returns
// the verifier beside it. [MS-OFFCRYPTO] section 2.3.5.2.
func cryptoAPIKey(password string, b []byte) (func(block uint32) []byte, []byte) {
	le := binary.LittleEndian
	if len(b) < 8 {
		return nil, nil
	}
	size := uint64(le.Uint32(b[4:]))
	if size < 32 || size > uint64(len(b)-8) {
		return nil, nil
	}
	header, v := b[8:8+size], b[8+size:]
	bits := int(le.Uint32(header[16:]))
	if bits == 0 {
		bits = 40
	}
	if len(v) < 60 || bits < 40 || bits > 128 || bits%8 != 0 {
		return nil, nil
	}
	h := sha1.Sum(append(append([]byte(nil), v[4:20]...), wide(password)...))
	return func(block uint32) []byte {
		k := sha1.Sum(append(append([]byte(nil), h[:]...), number(block)...))
		if bits == 40 {
			return append(k[:5:5], make([]byte, 11)...)
		}
		return k[:bits/8]
	}, v
}

// decipherRC4 checks the password and deciphers the contents of the records. The
// key changes every 1,024 bytes; headers and a few records are plain, but the
// stream of key bytes runs on under them. [MS-XLS] section 2.2.10.
func decipherRC4(j *format.Job, b []byte, key func(uint32) []byte, verifier, want []byte, hash func([]byte) []byte) ([]byte, error) {
	c, err := rc4.NewCipher(key(0))
	if err != nil {
		return nil, nil
	}
	v, w := make([]byte, len(verifier)), make([]byte, len(want))
	c.XORKeyStream(v, verifier)
	c.XORKeyStream(w, want)
	if !bytes.Equal(hash(v), w) {
		return nil, nil
	}
	stream := make([]byte, len(b))
	for at := 0; at < len(b); at += 1024 {
		if at%(64<<10) == 0 {
			if err := j.Check(); err != nil {
				return nil, err
			}
		}
		c, err := rc4.NewCipher(key(uint32(at / 1024)))
		if err != nil {
			return nil, nil
		}
		end := min(at+1024, len(b))
		c.XORKeyStream(stream[at:end], b[at:end])
	}
	out := bytes.Clone(b)
	eachRecord(b, func(id uint16, at int, v []byte) bool {
		if from := at + plainBytes(id, len(v)); from < at+len(v) {
			copy(out[from:at+len(v)], stream[from:])
		}
		return true
	})
	return out, nil
}

// plainBytes is how many bytes of a record are not encrypted.
func plainBytes(id uint16, size int) int {
	switch id {
	case recordBOF, recordFilePass, 0x00E1, 0x0194, 0x0195, 0x0196, 0x0138:
		return size
	case recordSheet:
		return 4
	}
	return 0
}

// The tables of the obfuscation by exclusive or. [MS-OFFCRYPTO] section 2.3.7.2.
var padding = [15]byte{0xBB, 0xFF, 0xFF, 0xBA, 0xFF, 0xFF, 0xB9, 0x80, 0x00, 0xBE, 0x0F, 0x00, 0xBF, 0x0F, 0x00}

// obfuscationVerifier is [MS-OFFCRYPTO] section 2.3.7.1.
func obfuscationVerifier(password string) uint16 {
	var v uint16
	for i := len(password) - 1; i >= -1; i-- {
		c := byte(len(password))
		if i >= 0 {
			c = password[i]
		}
		v = (v>>14&1 | v<<1&0x7FFF) ^ uint16(c)
	}
	return v ^ 0xCE4B
}

// clearObfuscation turns the bytes of the records back. [MS-OFFCRYPTO] section
// 2.3.7.3: the array's place goes by where in the stream the byte lies and how long
// the record is.
func clearObfuscation(j *format.Job, b []byte, password string, key uint16) ([]byte, error) {
	if len(password) > 15 {
		password = password[:15]
	}
	array := append([]byte(password), padding[:]...)[:16]
	for i := range array {
		k := byte(key)
		if i%2 == 1 {
			k = byte(key >> 8)
		}
		x := array[i] ^ k
		array[i] = x<<2 | x>>6 // rotated left by two, as Excel does
	}
	out := bytes.Clone(b)
	records := 0
	var err error
	eachRecord(b, func(id uint16, at int, v []byte) bool {
		if records++; records%1024 == 0 {
			if err = j.Check(); err != nil {
				return false
			}
		}
		for i := plainBytes(id, len(v)); i < len(v); i++ {
			out[at+i] = (v[i]<<3 | v[i]>>5) ^ array[(at+len(v)+i)%16]
		}
		return true
	})
	return out, err
}
