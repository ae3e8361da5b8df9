package relay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"spamcatcher/queue"
)

// A Maildir is a queue.Deliverer into one Maildir (cr.yp.to/proto/maildir.html): every item becomes one file in new, whoever its
// recipients are. It may be used by any number of goroutines.
type Maildir struct {
	dir  string
	host string
}

// errMaildir: no message at all can be written.
var errMaildir = errors.New("making a file in the maildir")

// NewMaildir returns the Maildir in dir. The directory and its tmp, new and cur are made if absent, with mode 0700.
func NewMaildir(dir string) (*Maildir, error) {
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("making the maildir: %w", err)
		}
	}
	if err := syncDir(dir); err != nil {
		return nil, fmt.Errorf("making the maildir: %w", err)
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	// In the host's name, "/" and ":" are written as \057 and \072.
	return &Maildir{dir: dir, host: strings.NewReplacer("/", `\057`, ":", `\072`).Replace(host)}, nil
}

// Deliver writes the message and returns one result per open recipient, all the same. Delivered means that the file is on
// stable storage, Down that there is no room or that the directory does not take files. The file's name follows from the item and its recipients, so an attempt whose result was lost and that is
// made again replaces the file, as long as no mail reader has taken it from new.
func (m *Maildir) Deliver(ctx context.Context, it *queue.Item, body io.ReadSeeker) []queue.Result {
	open := it.Pending()
	state, reply, down := queue.Delivered, "250 2.0.0 delivered into the maildir", false
	if err := m.write(ctx, it, open, body); err != nil {
		state = queue.Deferred
		switch {
		case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
			reply, down = "452 4.3.1 no space left for the maildir", true
		default:
			down = errors.Is(err, errMaildir)
			reply = "451 4.3.0 " + printable(err.Error())
		}
	}
	results := make([]queue.Result, len(open))
	for i, r := range open {
		results[i] = queue.Result{Recipient: r.Address, State: state, Reply: reply, Server: "maildir", Down: down}
	}
	return results
}

func (m *Maildir) write(ctx context.Context, it *queue.Item, to []queue.Recipient, body io.ReadSeeker) (err error) {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delivery was interrupted: %w", err)
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("going to the start of the message: %w", err)
	}
	name := m.name(it, to)
	// Two attempts at one item at the same time would share the file in tmp, so that part of the name is unique.
	f, err := os.CreateTemp(filepath.Join(m.dir, "tmp"), name+".")
	if err != nil {
		return fmt.Errorf("%w: %w", errMaildir, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 32<<10)
	// RFC 5321 section 4.4: final delivery puts the reverse path into a Return-Path line at the top.
	sender, _, pathErr := smtpPath(it.Sender)
	if pathErr != nil {
		sender = printable(it.Sender)
	}
	fmt.Fprintf(w, "Return-Path: <%s>\n", sender)
	for _, r := range to {
		fmt.Fprintf(w, "Delivered-To: %s\n", printable(r.Address))
	}
	if err = copyLF(w, body); err != nil {
		return fmt.Errorf("writing into the maildir: %w", err)
	}
	if err = w.Flush(); err != nil {
		return fmt.Errorf("writing into the maildir: %w", err)
	}
	if err = f.Sync(); err != nil {
		return fmt.Errorf("writing into the maildir: %w", err)
	}
	if err = f.Close(); err != nil {
		return fmt.Errorf("writing into the maildir: %w", err)
	}
	if err = os.Rename(f.Name(), filepath.Join(m.dir, "new", name)); err != nil {
		return fmt.Errorf("moving into the maildir: %w", err)
	}
	if err = syncDir(filepath.Join(m.dir, "new")); err != nil {
		return fmt.Errorf("moving into the maildir: %w", err)
	}
	return nil
}

// name returns the file name: time of arrival, item and recipients, host. Only this item with these recipients has it.
func (m *Maildir) name(it *queue.Item, to []queue.Recipient) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", it.ID)
	for _, r := range to {
		fmt.Fprintf(h, "%q\n", r.Address)
	}
	return fmt.Sprintf("%d.Q%s.%s", it.Received.Unix(), hex.EncodeToString(h.Sum(nil)[:16]), m.host)
}

// copyLF copies a message and writes each CRLF as LF, which is what readers of a Maildir expect. The last line gets its end.
func copyLF(w *bufio.Writer, body io.Reader) error {
	r := bufio.NewReaderSize(body, 32<<10)
	last := byte('\n')
	for {
		piece, err := r.ReadSlice('\n')
		if n := len(piece); n > 0 {
			if bytes.HasSuffix(piece, []byte("\r\n")) {
				piece = append(piece[:n-2], '\n')
			} else if err == bufio.ErrBufferFull && piece[n-1] == '\r' {
				// The LF may come with the next piece.
				piece = piece[:n-1]
				r.UnreadByte()
			}
			last = piece[len(piece)-1]
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		switch {
		case err == nil || err == bufio.ErrBufferFull:
		case err == io.EOF:
			if last != '\n' {
				return w.WriteByte('\n')
			}
			return nil
		default:
			return err
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
