package document

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

var testSalt = []byte("0123456789abcdef")

func filled(b []byte) []byte {
	return append(bytes.Clone(b), make([]byte, (16-len(b)%16)%16)...)
}

func encipher(key, iv, b []byte) []byte {
	c, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	out := filled(b)
	if iv == nil {
		for i := 0; i < len(out); i += 16 {
			c.Encrypt(out[i:], out[i:])
		}
		return out
	}
	cipher.NewCBCEncrypter(c, iv).CryptBlocks(out, out)
	return out
}

// lockedAgile encrypts a package with AES-256 and SHA-512.
func lockedAgile(password string, data []byte) []byte {
	h := digest(sha512.New, testSalt, wide(password))
	for i := range 1000 {
		h = digest(sha512.New, number(uint32(i)), h)
	}
	seal := func(purpose string, b []byte) string {
		p, _ := hex.DecodeString(purpose)
		return base64.StdEncoding.EncodeToString(encipher(digest(sha512.New, h, p)[:32], testSalt, b))
	}
	secret, verifier := []byte("the key of the package, 32 bytes"), []byte("sixteen letters!")
	info := fmt.Appendf(nil, "\x04\x00\x04\x00\x40\x00\x00\x00"+`<encryption><keyData saltSize="16" blockSize="16" keyBits="256" hashSize="64" hashAlgorithm="SHA512" saltValue="%[1]s"/>`+
		`<p:encryptedKey spinCount="1000" keyBits="256" hashAlgorithm="SHA512" saltValue="%[1]s" encryptedVerifierHashInput="%s" encryptedVerifierHashValue="%s" encryptedKeyValue="%s"/></encryption>`,
		base64.StdEncoding.EncodeToString(testSalt), seal("fea7d2763b4b9e79", verifier), seal("d7aa0f6d3061344e", digest(sha512.New, verifier)), seal("146e0be7abacd0d6", secret))
	packed := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	for i := 0; i*4096 < len(data); i++ {
		packed = append(packed, encipher(secret, digest(sha512.New, testSalt, number(uint32(i)))[:16], data[i*4096:min(len(data), i*4096+4096)])...)
	}
	return unpacktest.OLE(unpacktest.File{Name: "EncryptionInfo", Data: info}, unpacktest.File{Name: "EncryptedPackage", Data: packed})
}

// lockedStandard encrypts a package with AES-128 and SHA-1.
func lockedStandard(password string, data []byte) []byte {
	h := digest(sha1.New, testSalt, wide(password))
	for i := range 50000 {
		h = digest(sha1.New, number(uint32(i)), h)
	}
	h = digest(sha1.New, h, number(0))
	x := bytes.Repeat([]byte{0x36}, 64)
	for i := range h {
		x[i] ^= h[i]
	}
	key, verifier := digest(sha1.New, x)[:16], []byte("sixteen letters!")
	info := []byte("\x04\x00\x02\x00\x24\x00\x00\x00")
	for _, n := range []uint32{32, 0x24, 0, 0x660E, 0x8004, 128, 0x18, 0, 0, 16} {
		info = append(info, number(n)...)
	}
	info = append(append(info, testSalt...), encipher(key, nil, verifier)...)
	info = append(append(info, number(20)...), encipher(key, nil, digest(sha1.New, verifier))...)
	packed := append(binary.LittleEndian.AppendUint64(nil, uint64(len(data))), encipher(key, nil, data)...)
	return unpacktest.OLE(unpacktest.File{Name: "EncryptionInfo", Data: info}, unpacktest.File{Name: "EncryptedPackage", Data: packed})
}

// unencrypted is how much of a record stays as it is: [MS-XLS] section 2.2.10.
func unencrypted(id uint16, size int) int {
	switch id {
	case 0x0809, 0x002F:
		return size
	case 0x0085:
		return 4
	}
	return 0
}

// lockedBook encrypts the records of a workbook with a stream of key bytes.
func lockedBook(pass []byte, key func(uint32) []byte) []byte {
	b := stream(record(recordFilePass, pass...), sheet(0, 0), link(0, "cmd\x03/c calc"))
	keys := make([]byte, len(b))
	for i := 0; i < len(b); i += 1024 {
		c, _ := rc4.NewCipher(key(uint32(i / 1024)))
		end := min(len(b), i+1024)
		c.XORKeyStream(keys[i:end], keys[i:end])
	}
	out := bytes.Clone(b)
	eachRecord(b, func(id uint16, at int, v []byte) bool {
		for i := unencrypted(id, len(v)); i < len(v); i++ {
			out[at+i] ^= keys[at+i]
		}
		return true
	})
	return unpacktest.OLE(unpacktest.File{Name: "Workbook", Data: out})
}

func lockedRC4(password string) []byte {
	key, verifier := rc4Key(password, testSalt), []byte("sixteen letters!")
	c, _ := rc4.NewCipher(key(0))
	sealed := make([]byte, 32)
	sum := md5.Sum(verifier)
	c.XORKeyStream(sealed, append(bytes.Clone(verifier), sum[:]...))
	return lockedBook(slices.Concat([]byte{1, 0, 1, 0, 1, 0}, testSalt, sealed), key)
}

func lockedCryptoAPI(password string, bits uint32) []byte {
	var info []byte
	for _, n := range []uint32{0x00020002, 4, 32, 4, 0, 0x6801, 0x8004, bits, 1, 0, 0, 16} {
		info = append(info, number(n)...)
	}
	info = append(append(info, testSalt...), make([]byte, 16)...)
	info = append(append(info, number(20)...), make([]byte, 20)...)
	key, _ := cryptoAPIKey(password, info[4:])
	c, _ := rc4.NewCipher(key(0))
	verifier := []byte("sixteen letters!")
	sum := sha1.Sum(verifier)
	c.XORKeyStream(info[len(info)-40:len(info)-24], verifier)
	c.XORKeyStream(info[len(info)-20:], sum[:])
	return lockedBook(append([]byte{1, 0}, info...), key)
}

// lockedObfuscated is a workbook obfuscated with Excel's own password. Key and
// verifier are those that every such workbook has.
func lockedObfuscated() []byte {
	key := []byte{0x59, 0xB3, 0x0A, 0x9A}
	b := stream(record(recordFilePass, append([]byte{0, 0}, key...)...), sheet(0, 0), link(0, "cmd\x03/c calc"))
	array := []byte(defaultPassword + "\xbb")
	for i := range array {
		x := array[i] ^ key[i%2]
		array[i] = x<<2 | x>>6
	}
	out := bytes.Clone(b)
	eachRecord(b, func(id uint16, at int, v []byte) bool {
		for i := unencrypted(id, len(v)); i < len(v); i++ {
			x := v[i] ^ array[(at+len(v)+i)%16]
			out[at+i] = x>>3 | x<<5
		}
		return true
	})
	return unpacktest.OLE(unpacktest.File{Name: "Workbook", Data: out})
}

// TestLocked: Excel's own password opens what it opens in Excel, a password of the
// message what it opens, and what nothing opens is marked.
func TestLocked(t *testing.T) {
	inside := unpacktest.Zip(8, unpacktest.File{Name: "word/document.xml", Data: []byte(wordNS + `<w:fldSimple w:instr="DDE a b"/>`)}, unpacktest.File{Name: "noise", Data: bytes.Repeat([]byte("0123456789"), 1000)})
	for name, make := range map[string]func(password string) []byte{
		"agile":         func(p string) []byte { return lockedAgile(p, inside) },
		"standard":      func(p string) []byte { return lockedStandard(p, inside) },
		"rc4":           lockedRC4,
		"cryptoapi 128": func(p string) []byte { return lockedCryptoAPI(p, 128) },
		"cryptoapi 40":  func(p string) []byte { return lockedCryptoAPI(p, 40) },
	} {
		for _, c := range []struct {
			password string
			tried    []string
			want     string
		}{
			{defaultPassword, nil, "dde"},
			{"Sommer2026", []string{"winter", "Sommer2026"}, "dde unlocked"},
			{"Sommer2026", []string{"winter"}, "office_locked"},
		} {
			got := open(t, name, make(c.password), c.tried...)
			if marks := strings.Join(got.kinds(), " "); marks != c.want {
				t.Errorf("%s, %s, %s: marks %q, want %q", name, c.password, c.tried, got.marks, c.want)
			}
		}
	}
	if v := obfuscationVerifier(defaultPassword); v != 0x9A0A {
		t.Errorf("the verifier of Excel's password is %04X, not 9A0A", v)
	}
	for name, data := range map[string][]byte{"obfuscated": lockedObfuscated(), "rc4": lockedRC4(defaultPassword)} {
		got := open(t, name, data)
		if kinds := got.kinds(); !slices.Equal(kinds, []string{format.DDE}) {
			t.Errorf("%s: marks %q", name, kinds)
		}
		if text := got.text(format.Stream); !strings.Contains(text, string(sheet(0, 0))) || !strings.Contains(text, "cmd\x03/c calc") {
			t.Errorf("%s: the workbook is not deciphered", name)
		}
	}
}
