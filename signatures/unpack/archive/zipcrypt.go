package archive

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/yeka/zip"

	"spamcatcher/signatures/unpack/format"
)

// A zipLock tries the passwords of the message on the encrypted members of one
// archive.
type zipLock struct {
	asked     bool
	passwords []string // the one that opened a member first
	tries     int
	opened    string // the password that did
	used      bool
	names     []string // of members that stay closed
	closed    int
}

// maxTries bounds how many keys are derived for one archive: each costs about
// half a millisecond, and a message gives few passwords.
const maxTries = 100

// open decrypts and unpacks a member.
func (k *zipLock) open(a *zipArchive, h *zipHeader, body []byte) (data []byte, cut, unlocked bool, err error) {
	if !k.asked {
		k.asked, k.passwords = true, slices.Clone(a.j.Passwords())
	}
	for i, password := range k.passwords {
		if k.tries++; k.tries > maxTries || h.flags&zipStrong != 0 {
			break
		}
		if err := a.j.Check(); err != nil {
			return nil, true, false, err
		}
		plain, method, check := decrypt(h, body, password)
		if plain == nil {
			continue
		}
		room, err := hold(a.j, method, len(body))
		if err != nil {
			return nil, true, false, err
		}
		r, err := a.codec.reader(method, h, plain, int64(len(body)), room)
		if _, unknown := errors.AsType[zipMethod](err); unknown && !check {
			return nil, true, true, err
		}
		if err == nil {
			data, cut, err = a.j.Read(r, int64(len(body)))
		}
		if errors.Is(err, format.ErrStop) {
			return data, true, false, err
		}
		// The checksum tells; where the data is cut off, what could be read does.
		if good := err == nil && (cut || !check || sum(data, h.crc)); good {
			k.opened, k.used = password, true
			k.passwords[0], k.passwords[i] = password, k.passwords[0]
			k.tries--
			return data, cut, true, nil
		}
		a.j.Done(data)
	}
	if k.closed++; len(k.names) < zipNames {
		k.names = append(k.names, zipName(h.name))
	}
	return nil, true, false, nil
}

// report marks the archive once.
func (k *zipLock) report(a *zipArchive) {
	if k.used {
		a.j.Mark(a.f, format.Unlocked, k.opened)
	}
	if k.closed > 0 {
		a.j.Mark(a.f, format.Encrypted, strings.Join(k.names, ", "))
	}
}

// decrypt returns the reader of what is packed in body, nil if the password is
// wrong, and the method; check says that only the checksum can tell whether the
// password is right.
func decrypt(h *zipHeader, body []byte, password string) (plain io.Reader, method uint16, check bool) {
	if h.method == zipAES {
		plain, method = decryptAES(h, body, password)
		return plain, method, false
	}
	if len(body) < 12 {
		return nil, 0, false
	}
	// APPNOTE section 6.1: of the 12 bytes in front the last is the checksum's
	// highest, or that of the time if the checksum was not known yet.
	z := zip.NewZipCrypto([]byte(password))
	last := z.Decrypt(body[:12])[11]
	if last != byte(h.crc>>24) && last != byte(h.time>>8) {
		return nil, 0, false
	}
	return &zipCryptoReader{z: z, in: bytes.NewReader(body[12:])}, h.method, true
}

// A zipCryptoReader undoes PKWARE's traditional encryption.
type zipCryptoReader struct {
	z    *zip.ZipCrypto
	in   *bytes.Reader
	half [4096]byte
}

func (r *zipCryptoReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(r.half[:min(len(p), len(r.half))])
	copy(p, r.z.Decrypt(r.half[:n]))
	return n, err
}

// decryptAES undoes WinZip's encryption (AE-1 and AE-2): salt, two bytes that
// verify the password, the data in counter mode, and 10 bytes of HMAC-SHA1.
func decryptAES(h *zipHeader, body []byte, password string) (plain io.Reader, method uint16) {
	e := h.field(0x9901)
	if len(e) < 7 || e[4] < 1 || e[4] > 3 {
		return nil, 0
	}
	key := 8 + 8*int(e[4])
	salt := key / 2
	if len(body) < salt+2+10 {
		return nil, 0
	}
	keys, err := pbkdf2.Key(sha1.New, password, body[:salt], 1000, 2*key+2)
	if err != nil || !bytes.Equal(keys[2*key:], body[salt:salt+2]) {
		return nil, 0
	}
	data := body[salt+2 : len(body)-10]
	mac := hmac.New(sha1.New, keys[key:2*key])
	mac.Write(data)
	if !bytes.Equal(mac.Sum(nil)[:10], body[len(body)-10:]) {
		return nil, 0
	}
	block, err := aes.NewCipher(keys[:key])
	if err != nil {
		return nil, 0
	}
	return &zipAESReader{block: block, data: data}, binary.LittleEndian.Uint16(e[5:])
}

// A zipAESReader is AES in counter mode with a counter whose lowest byte comes
// first and which begins at 1.
type zipAESReader struct {
	block   cipher.Block
	data    []byte
	counter uint64
	pad     [aes.BlockSize]byte
	left    int // bytes of pad that are not used
}

func (r *zipAESReader) Read(p []byte) (n int, err error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	for n < len(p) && len(r.data) > 0 {
		if r.left == 0 {
			r.counter++
			r.pad = [aes.BlockSize]byte{}
			binary.LittleEndian.PutUint64(r.pad[:], r.counter)
			r.block.Encrypt(r.pad[:], r.pad[:])
			r.left = len(r.pad)
		}
		p[n] = r.data[0] ^ r.pad[len(r.pad)-r.left]
		r.data, r.left = r.data[1:], r.left-1
		n++
	}
	return n, nil
}
