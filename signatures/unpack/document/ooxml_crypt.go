package document

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strconv"
	"unicode/utf16"

	"spamcatcher/signatures/unpack/format"
)

// defaultPassword opens what Excel encrypts so that nobody is asked for a password:
// workbooks with a protected structure. [MS-OFFCRYPTO] section 2.4.2.3 does not
// name it; Excel tries it before it asks.
const defaultPassword = "VelvetSweatshop"

var errCipher = errors.New("encryption of an unknown kind")

// candidates are the passwords that are worth trying.
func candidates(j *format.Job) []string {
	list := j.Passwords()
	return append([]string{defaultPassword}, list[:min(len(list), 8)]...)
}

// An unlocker derives the reader of a document from a password; nil when the
// password is wrong.
type unlocker func(j *format.Job, password string, packed []byte) (io.Reader, error)

// encrypted opens an encrypted OOXML document. [MS-OFFCRYPTO] section 2.3.4.4.
func (d *oleFile) encrypted(packed []byte) error {
	info := d.c.find("", "EncryptionInfo")
	if info == nil {
		d.j.Mark(d.f, format.OfficeLocked, "")
		return nil
	}
	b, _, err := d.read(info)
	if err != nil {
		return err
	}
	open, err := encryption(b)
	if err != nil || len(packed) < 8 {
		d.j.Mark(d.f, format.OfficeLocked, "")
		return nil
	}
	for _, password := range candidates(d.j) {
		r, err := open(d.j, password, packed[8:])
		if err == format.ErrStop {
			return err
		}
		if r == nil {
			continue
		}
		data, cut, err := d.j.Read(io.LimitReader(r, int64(min(binary.LittleEndian.Uint64(packed), uint64(len(packed))))), int64(len(packed)))
		if err == format.ErrStop {
			return err
		}
		own := password != defaultPassword
		if own {
			d.j.Mark(d.f, format.Unlocked, password)
		}
		return d.j.Emit(&format.File{Kind: format.Object, Name: "decrypted", Data: data, Cut: cut, Unlocked: own})
	}
	d.j.Mark(d.f, format.OfficeLocked, "")
	return nil
}

// encryption reads an EncryptionInfo stream.
func encryption(b []byte) (unlocker, error) {
	le := binary.LittleEndian
	if len(b) < 12 {
		return nil, errCipher
	}
	switch major, minor := le.Uint16(b), le.Uint16(b[2:]); {
	case major == 4 && minor == 4:
		return agile(b[8:])
	case minor == 2 && major >= 2 && major <= 4:
		return standard(b[8:])
	}
	return nil, errCipher
}

// standard is [MS-OFFCRYPTO] section 2.3.4.5: AES in ECB mode, SHA-1, 50,000 rounds.
func standard(b []byte) (unlocker, error) {
	le := binary.LittleEndian
	size := uint64(le.Uint32(b))
	if size < 32 || size > uint64(len(b)-4) {
		return nil, errCipher
	}
	header, v := b[4:4+size], b[4+size:]
	bits := int(le.Uint32(header[16:]))
	if algorithm := le.Uint32(header[8:]); algorithm != 0x660E && algorithm != 0x660F && algorithm != 0x6610 || bits != 128 && bits != 192 && bits != 256 || len(v) < 72 {
		return nil, errCipher
	}
	salt, verifier, want := v[4:20], v[20:36], v[40:72]
	return func(j *format.Job, password string, packed []byte) (io.Reader, error) {
		h, err := spin(j, sha1.New, salt, password, 50000)
		if err != nil {
			return nil, err
		}
		h = digest(sha1.New, h, number(0))
		// [MS-OFFCRYPTO] section 2.3.4.7.
		x1, x2 := bytes.Repeat([]byte{0x36}, 64), bytes.Repeat([]byte{0x5c}, 64)
		for i := range h {
			x1[i] ^= h[i]
			x2[i] ^= h[i]
		}
		key := append(digest(sha1.New, x1), digest(sha1.New, x2)...)[:bits/8]
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		got, hashed := ecb(block, verifier), ecb(block, want)
		if !bytes.Equal(digest(sha1.New, got), hashed[:20]) {
			return nil, nil
		}
		return &segments{in: packed, open: func(_ uint32, b []byte) []byte { return ecb(block, b) }}, nil
	}, nil
}

// ecb deciphers whole blocks.
func ecb(c cipher.Block, b []byte) []byte {
	out := make([]byte, len(b)/aes.BlockSize*aes.BlockSize)
	for i := 0; i < len(out); i += aes.BlockSize {
		c.Decrypt(out[i:], b[i:])
	}
	return out
}

// agile is [MS-OFFCRYPTO] section 2.3.4.10: parameters in XML, AES in CBC mode.
func agile(b []byte) (unlocker, error) {
	var data, key map[string]string
	walkXML(b, func(t tag) bool {
		switch t.name {
		case "keyData":
			data = t.attributes()
		case "encryptedKey":
			key = t.attributes()
		}
		return true
	})
	newHash, newKeyHash := hashes(data["hashAlgorithm"]), hashes(key["hashAlgorithm"])
	rounds, err := strconv.Atoi(key["spinCount"])
	bits, _ := strconv.Atoi(key["keyBits"])
	blockSize, _ := strconv.Atoi(data["blockSize"])
	if err != nil || newHash == nil || newKeyHash == nil || rounds < 0 || rounds > 1_000_000 || bits != 128 && bits != 192 && bits != 256 || blockSize != aes.BlockSize {
		return nil, errCipher
	}
	raw := func(s string) []byte {
		v, _ := base64.StdEncoding.DecodeString(s)
		return v
	}
	dataSalt, salt := raw(data["saltValue"]), raw(key["saltValue"])
	input, value, packedKey := raw(key["encryptedVerifierHashInput"]), raw(key["encryptedVerifierHashValue"]), raw(key["encryptedKeyValue"])
	if len(salt) != aes.BlockSize || len(input) == 0 || len(value) < newKeyHash().Size() || len(packedKey) < bits/8 {
		return nil, errCipher
	}
	return func(j *format.Job, password string, packed []byte) (io.Reader, error) {
		h, err := spin(j, newKeyHash, salt, password, rounds)
		if err != nil {
			return nil, err
		}
		// [MS-OFFCRYPTO] section 2.3.4.11: a block key for each purpose.
		derive := func(purpose string, b []byte) []byte {
			p, _ := hex.DecodeString(purpose)
			return cbc(sized(digest(newKeyHash, h, p), bits/8), salt, b)
		}
		got, hashed := derive("fea7d2763b4b9e79", input), derive("d7aa0f6d3061344e", value)
		if want := digest(newKeyHash, got); len(hashed) < len(want) || !bytes.Equal(want, hashed[:len(want)]) {
			return nil, nil
		}
		secret := derive("146e0be7abacd0d6", packedKey)
		if len(secret) < bits/8 {
			return nil, nil
		}
		return &segments{in: packed, open: func(n uint32, b []byte) []byte {
			return cbc(secret[:bits/8], sized(digest(newHash, dataSalt, number(n)), aes.BlockSize), b)
		}}, nil
	}, nil
}

// cbc deciphers whole blocks; nil when the key is of no use.
func cbc(key, iv, b []byte) []byte {
	c, err := aes.NewCipher(key)
	if err != nil || len(iv) != aes.BlockSize {
		return nil
	}
	out := make([]byte, len(b)/aes.BlockSize*aes.BlockSize)
	cipher.NewCBCDecrypter(c, iv).CryptBlocks(out, b[:len(out)])
	return out
}

// sized cuts or fills up a derived key. [MS-OFFCRYPTO] section 2.3.4.11.
func sized(b []byte, n int) []byte {
	for len(b) < n {
		b = append(b, 0x36)
	}
	return b[:n]
}

func hashes(name string) func() hash.Hash {
	switch name {
	case "SHA1", "SHA-1":
		return sha1.New
	case "SHA256", "SHA-256":
		return sha256.New
	case "SHA384", "SHA-384":
		return sha512.New384
	case "SHA512", "SHA-512":
		return sha512.New
	case "MD5":
		return md5.New
	}
	return nil
}

func digest(newHash func() hash.Hash, list ...[]byte) []byte {
	h := newHash()
	for _, b := range list {
		h.Write(b)
	}
	return h.Sum(nil)
}

func number(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

// wide is a password in UTF-16.
func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// spin hashes a password many times over.
func spin(j *format.Job, newHash func() hash.Hash, salt []byte, password string, rounds int) ([]byte, error) {
	h := newHash()
	h.Write(salt)
	h.Write(wide(password))
	sum := h.Sum(nil)
	var n [4]byte
	for i := range rounds {
		if i%4096 == 0 {
			if err := j.Check(); err != nil {
				return nil, err
			}
		}
		h.Reset()
		binary.LittleEndian.PutUint32(n[:], uint32(i))
		h.Write(n[:])
		h.Write(sum)
		sum = h.Sum(sum[:0])
	}
	return sum, nil
}

// segments deciphers 4,096 bytes at a time.
type segments struct {
	in    []byte
	n     uint32
	open  func(n uint32, b []byte) []byte
	ready []byte
}

func (s *segments) Read(p []byte) (int, error) {
	if len(s.ready) == 0 {
		b := s.in[:min(len(s.in), 4096)]
		s.in = s.in[len(b):]
		if s.ready = s.open(s.n, b); len(s.ready) == 0 {
			return 0, io.EOF
		}
		s.n++
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}
