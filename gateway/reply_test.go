package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"spamcatcher/queue"
)

// Every reply has a status code of its class, and nothing that is unknown is
// permanent or tells anything.
func TestReplies(t *testing.T) {
	secret := "/var/lib/secret"
	for _, c := range []struct {
		err  error
		want string
	}{
		{&refusal{score: 99.96, id: "X1"}, "550 5.7.1 message refused as spam: score 100.0, id X1"},
		{&refusal{score: 100, virus: "V", id: "X1"}, "550 5.7.1 message refused, malware found: V; score 100.0, id X1"},
		{errRelay, "550 5.7.1 relay not permitted"},
		{ErrMailbox, "550 5.1.1 no such mailbox"},
		{ErrUnsure, "450 4.1.1 recipient cannot be verified now, try again later"},
		{errLoop, "554 5.4.6 mail loop: too many hops"},
		{errHeader, "552 5.3.4 message header too large"},
		{errFields, "554 5.6.0 too many header fields"},
		{errCrowd, "452 4.5.3 too many recipients"},
		{errCopies, "552 5.3.4 message too large for so many domains, send it to fewer at a time"},
		{queue.ErrFull, "452 4.3.1 not enough storage, try again later"},
		{queue.ErrBroken, "421 4.3.0 storage failed, try again later"},
		{queue.ErrClosed, "421 4.3.2 shutting down, try again later"},
		{context.Canceled, "421 4.3.2 shutting down, try again later"},
		{context.DeadlineExceeded, "451 4.3.0 temporary failure, try again later"},
		{io.ErrUnexpectedEOF, "451 4.3.0 temporary failure, try again later"},
		{&os.PathError{Op: "open", Path: secret, Err: os.ErrPermission}, "451 4.3.0 temporary failure, try again later"},
		{errors.New("550 5.0.0 " + secret), "451 4.3.0 temporary failure, try again later"},
	} {
		for _, err := range []error{c.err, fmt.Errorf("doing %s: %w", secret, c.err)} {
			r := replyTo(err)
			got := fmt.Sprintf("%d %d.%d.%d %s", r.Code, r.EnhancedCode[0], r.EnhancedCode[1], r.EnhancedCode[2], r.Message)
			if got != c.want {
				t.Errorf("%v: %q, want %q", err, got, c.want)
			}
			if r.EnhancedCode[0] != r.Code/100 {
				t.Errorf("%q: classes differ", got)
			}
			if strings.Contains(got, secret) {
				t.Errorf("%q tells", got)
			}
		}
	}
	if replyTo(nil) != nil {
		t.Error("a reply without an error")
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	for name, cfg := range map[string]Config{
		"nothing":  {},
		"no queue": {Judge: scores(1)},
		"hostname": {Judge: scores(1), Queue: &memory{}, Hostname: "mx.example.com\r\nX: y"},
		"dots":     {Judge: scores(1), Queue: &memory{}, Hostname: ".."},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s, err := New(Config{Judge: scores(1), Queue: &memory{}})
	if err != nil || s.host == "" {
		t.Errorf("defaults: %v", err)
	}
}
