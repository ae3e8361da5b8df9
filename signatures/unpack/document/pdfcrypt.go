package document

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
)

// pdfPad fills up passwords. ISO 32000-1 section 7.6.3.3, algorithm 2, step a.
const pdfPad = "\x28\xBF\x4E\x5E\x4E\x75\x8A\x41\x64\x00\x4E\x56\xFF\xFA\x01\x08\x2E\x2E\x00\xB6\xD0\x68\x3E\x80\x2F\x0C\xA9\xFE\x64\x53\x69\x7A"

// A pdfCipher is how strings or streams are encrypted.
type pdfCipher byte

const (
	pdfPlain pdfCipher = iota
	pdfRC4
	pdfAES128
	pdfAES256
)

// A pdfCrypt decrypts the strings and streams of a document.
// ISO 32000-2 section 7.6: encryption.
type pdfCrypt struct {
	key              []byte
	strings, streams pdfCipher
	dict             int // where the encryption dictionary is, whose strings are plain
}

// newPDFCrypt tries passwords, the empty one first. It returns nil if none opens
// the document or the handler is not the standard one.
func (p *pdf) newCrypt(dict *pdfValue, id []byte, passwords []string) (c *pdfCrypt, password string) {
	if name := p.resolve(dict.get("Filter")).name(); name != "Standard" {
		return nil, ""
	}
	version := p.resolve(dict.get("V")).number(0)
	revision := p.resolve(dict.get("R")).number(0)
	c = &pdfCrypt{strings: pdfRC4, streams: pdfRC4, dict: dict.at}
	if version >= 4 {
		c.strings = p.cryptMethod(dict, "StrF")
		c.streams = p.cryptMethod(dict, "StmF")
	}
	size := 5
	if revision >= 3 {
		size = int(p.resolve(dict.get("Length")).number(40) / 8)
	}
	if version == 4 {
		size = 16
	}
	size = min(max(size, 5), 16)
	text := func(key string) []byte {
		if v := p.resolve(dict.get(key)); v != nil && v.kind == pdfString {
			return v.text
		}
		return nil
	}
	user, owner := text("U"), text("O")
	for i, password := range append([]string{""}, passwords...) {
		if i > 8 {
			break
		}
		if revision >= 5 {
			c.key = pdfKey256([]byte(password), user, text("UE"), revision)
		} else {
			metadata := true
			if v := p.resolve(dict.get("EncryptMetadata")); v != nil && p.keyword(v) == "false" {
				metadata = false
			}
			c.key = pdfKey(password, owner, user, id, p.resolve(dict.get("P")).number(0), int(revision), size, metadata)
		}
		if c.key != nil {
			return c, password
		}
	}
	return nil, ""
}

// keyword is the word at a value that is neither number nor name.
func (p *pdf) keyword(v *pdfValue) string {
	if v.kind != pdfNull || v.at >= len(p.b) {
		return ""
	}
	word := p.b[v.at:min(len(p.b), v.at+5)]
	return string(word)
}

func (p *pdf) cryptMethod(dict *pdfValue, which string) pdfCipher {
	name := p.resolve(dict.get(which)).name()
	filter := p.resolve(p.resolve(dict.get("CF")).get(name))
	switch p.resolve(filter.get("CFM")).name() {
	case "V2":
		return pdfRC4
	case "AESV2":
		return pdfAES128
	case "AESV3":
		return pdfAES256
	}
	return pdfPlain
}

// pdfKey is the document's key by a user password, nil if it is the wrong one.
// ISO 32000-1 section 7.6.3: algorithms 2, 4, 5 and 6.
func pdfKey(password string, owner, user, id []byte, permissions int64, revision, size int, metadata bool) []byte {
	if len(owner) < 32 || len(user) < 16 {
		return nil
	}
	padded := (password + pdfPad)[:32]
	h := md5.New()
	h.Write([]byte(padded))
	h.Write(owner[:32])
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(permissions)))
	h.Write(id)
	if revision >= 4 && !metadata {
		h.Write([]byte{0xff, 0xff, 0xff, 0xff})
	}
	key := h.Sum(nil)
	if revision >= 3 {
		for range 50 {
			sum := md5.Sum(key[:size])
			key = sum[:]
		}
	} else {
		size = 5
	}
	key = key[:size]
	if revision < 3 {
		check := pdfRC4Of(key, []byte(pdfPad))
		if !bytes.Equal(check[:16], user[:16]) {
			return nil
		}
		return key
	}
	sum := md5.Sum(append([]byte(pdfPad), id...))
	check := sum[:]
	for i := range 20 {
		turned := make([]byte, len(key))
		for k := range key {
			turned[k] = key[k] ^ byte(i)
		}
		check = pdfRC4Of(turned, check)
	}
	if !bytes.Equal(check, user[:16]) {
		return nil
	}
	return key
}

// pdfKey256 is the same for revisions 5 and 6.
// ISO 32000-2 section 7.6.4.3.3: algorithm 2.A.
func pdfKey256(password, user, wrapped []byte, revision int64) []byte {
	if len(user) < 48 || len(wrapped) < 32 {
		return nil
	}
	hash := func(salt []byte) []byte {
		sum := sha256.Sum256(append(bytes.Clone(password), salt...))
		if revision == 5 {
			return sum[:]
		}
		return pdfHash(password, sum[:])
	}
	if !bytes.Equal(hash(user[32:40]), user[:32]) {
		return nil
	}
	block, err := aes.NewCipher(hash(user[40:48]))
	if err != nil {
		return nil
	}
	key := make([]byte, 32)
	cipher.NewCBCDecrypter(block, make([]byte, 16)).CryptBlocks(key, wrapped[:32])
	return key
}

// pdfHash hardens a hash. ISO 32000-2 section 7.6.4.3.4: algorithm 2.B. The
// number of rounds is bounded: the last byte that ends them is at most 255.
func pdfHash(password, k []byte) []byte {
	for i := 0; i < 64+256; i++ {
		once := append(bytes.Clone(password), k...)
		e := bytes.Repeat(once, 64)
		block, err := aes.NewCipher(k[:16])
		if err != nil {
			return nil
		}
		cipher.NewCBCEncrypter(block, k[16:32]).CryptBlocks(e, e)
		sum := 0
		for _, c := range e[:16] {
			sum += int(c)
		}
		switch sum % 3 {
		case 0:
			h := sha256.Sum256(e)
			k = h[:]
		case 1:
			h := sha512.Sum384(e)
			k = h[:]
		default:
			h := sha512.Sum512(e)
			k = h[:]
		}
		if i >= 63 && int(e[len(e)-1]) <= i-31 {
			break
		}
	}
	return k[:32]
}

func pdfRC4Of(key, data []byte) []byte {
	c, err := rc4.NewCipher(key)
	if err != nil {
		return data
	}
	out := make([]byte, len(data))
	c.XORKeyStream(out, data)
	return out
}

// openStrings decrypts the strings of an object.
func (c *pdfCrypt) openStrings(v *pdfValue, o pdfObject) {
	if v.kind == pdfString {
		v.text = c.open(c.strings, o.num, int(o.gen), v.text)
	}
	for i := range v.list {
		c.openStrings(&v.list[i], o)
	}
}

// open decrypts a string or stream of an object.
// ISO 32000-1 section 7.6.2: algorithm 1, and 1.A of ISO 32000-2.
func (c *pdfCrypt) open(method pdfCipher, num int64, gen int, data []byte) []byte {
	if method == pdfPlain {
		return data
	}
	key := c.key
	if method != pdfAES256 {
		salted := append(bytes.Clone(key), byte(num), byte(num>>8), byte(num>>16), byte(gen), byte(gen>>8))
		if method == pdfAES128 {
			salted = append(salted, "sAlT"...)
		}
		sum := md5.Sum(salted)
		key = sum[:min(len(key)+5, 16)]
	}
	if method == pdfRC4 {
		return pdfRC4Of(key, data)
	}
	if len(data) < 32 {
		return nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	body := data[16 : len(data)-len(data)%16]
	out := make([]byte, len(body))
	cipher.NewCBCDecrypter(block, data[:16]).CryptBlocks(out, body)
	if n := int(out[len(out)-1]); n >= 1 && n <= 16 {
		out = out[:len(out)-n]
	}
	return out
}
