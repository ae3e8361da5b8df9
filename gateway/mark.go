package gateway

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// A message that goes in circles is known by its Received fields: RFC 5321
// section 6.3. A server behind us may remove those, or our name in them may have
// changed, or be another machine's too. So each message carries a mark of our
// own as well: how often it was here, and a code over that, which only who has
// the key can make. A mark that is not ours counts for nothing, so that nobody
// can have somebody else's message taken for one in a loop, nor count it back.

// markField holds the mark: number, id of the message then, code.
const (
	markField  = "X-SpamCatcher-Mark"
	markFolded = "x-spamcatcher-mark"
)

// markOf is the mark of a message that is here for the nth time; "" without a
// key.
func markOf(key []byte, n int, id string) string {
	if len(key) == 0 {
		return ""
	}
	number := strconv.Itoa(n)
	return number + " " + id + " " + markCode(key, number, id)
}

// markCode is the code over number and id: HMAC-SHA-256 (RFC 2104), cut to half.
func markCode(key []byte, number, id string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(number + " " + id))
	return hex.EncodeToString(h.Sum(nil)[:sha256.Size/2])
}

// passesOf returns how often a message was here before, by the marks among its
// fields that only we may write.
func passesOf(key, raw []byte, ours []span) int {
	most := 0
	for _, f := range ours {
		name, value, ok := bytes.Cut(raw[f.start:f.end], []byte(":"))
		if len(key) == 0 || !ok || len(value) > 300 || len(name) > 30 || !strings.EqualFold(strings.TrimSpace(string(name)), markFolded) {
			continue
		}
		words := strings.Fields(string(value))
		if len(words) != 3 || !hmac.Equal([]byte(words[2]), []byte(markCode(key, words[0], words[1]))) {
			continue
		}
		if n, err := strconv.Atoi(words[0]); err == nil {
			most = max(most, n)
		}
	}
	return most
}
