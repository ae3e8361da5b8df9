package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"log/syslog"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// openLog opens the log: syslog with facility mail where a socket exists or
// is configured, else standard error. Whoever runs the program at a terminal
// sees the log there in any case. Close flushes what is under way.
func openLog(c *Config) (*slog.Logger, io.Closer, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	stderr := slog.NewTextHandler(os.Stderr, options)
	if socket := syslogSocket(c.Syslog); socket != "" {
		w, err := syslog.Dial("unixgram", socket, syslog.LOG_MAIL|syslog.LOG_INFO, "spamcatcher")
		if err != nil {
			w, err = syslog.Dial("unix", socket, syslog.LOG_MAIL|syslog.LOG_INFO, "spamcatcher")
		}
		if err == nil {
			h := newSyslogHandler(w, options)
			if term.IsTerminal(int(os.Stderr.Fd())) {
				return slog.New(slog.NewMultiHandler(h, stderr)), h.lines, nil
			}
			return slog.New(h), h.lines, nil
		}
		if c.Syslog != "auto" {
			return nil, nil, fmt.Errorf("log.syslog: %w", err)
		}
	}
	return slog.New(stderr), io.NopCloser(nil), nil
}

// syslogSocket returns the socket to log to, "" for none.
func syslogSocket(configured string) string {
	switch configured {
	case "off":
		return ""
	case "auto":
		const usual = "/dev/log"
		if info, err := os.Stat(usual); err == nil && info.Mode()&fs.ModeSocket != 0 {
			return usual
		}
		return ""
	default:
		return configured
	}
}

// A syslogHandler turns records into syslog lines. A stuck syslog daemon
// never holds up mail: lines wait in a bounded queue, and what does not fit
// is counted and reported later.
type syslogHandler struct {
	options *slog.HandlerOptions
	text    slog.Handler
	buffer  *lockedBuffer
	lines   *lineQueue
}

type lockedBuffer struct {
	sync.Mutex
	bytes.Buffer
}

func newSyslogHandler(w *syslog.Writer, options *slog.HandlerOptions) *syslogHandler {
	// syslog adds the time and carries the level.
	plain := *options
	plain.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}
	buffer := &lockedBuffer{}
	return &syslogHandler{options: options, text: slog.NewTextHandler(&buffer.Buffer, &plain), buffer: buffer, lines: newLineQueue(w, 4096)}
}

func (h *syslogHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.options.Level.Level()
}

func (h *syslogHandler) Handle(ctx context.Context, r slog.Record) error {
	h.buffer.Lock()
	defer h.buffer.Unlock()
	h.buffer.Reset()
	if err := h.text.Handle(ctx, r); err != nil {
		return err
	}
	h.lines.put(logLine{r.Level, string(bytes.TrimRight(h.buffer.Bytes(), "\n"))})
	return nil
}

func (h *syslogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	other := *h
	other.text = h.text.WithAttrs(attrs)
	return &other
}

func (h *syslogHandler) WithGroup(name string) slog.Handler {
	other := *h
	other.text = h.text.WithGroup(name)
	return &other
}

type logLine struct {
	level slog.Level
	text  string
}

// A lineQueue writes lines to syslog in a goroutine of its own.
type lineQueue struct {
	w    *syslog.Writer
	done chan struct{}

	mu      sync.Mutex
	lines   chan logLine
	closed  bool
	dropped int
}

func newLineQueue(w *syslog.Writer, size int) *lineQueue {
	q := &lineQueue{w: w, lines: make(chan logLine, size), done: make(chan struct{})}
	go q.write()
	return q
}

func (q *lineQueue) put(l logLine) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	select {
	case q.lines <- l:
	default:
		q.dropped++
	}
}

func (q *lineQueue) write() {
	defer close(q.done)
	for l := range q.lines {
		q.send(l)
		q.mu.Lock()
		dropped := q.dropped
		if len(q.lines) == 0 {
			q.dropped = 0
		} else {
			dropped = 0
		}
		q.mu.Unlock()
		if dropped > 0 {
			q.send(logLine{slog.LevelWarn, fmt.Sprintf("syslog was too slow: %d log lines were dropped", dropped)})
		}
	}
}

func (q *lineQueue) send(l logLine) {
	// A line that cannot be written is lost: there is no other place to say so.
	switch {
	case l.level >= slog.LevelError:
		_ = q.w.Err(l.text)
	case l.level >= slog.LevelWarn:
		_ = q.w.Warning(l.text)
	case l.level >= slog.LevelInfo:
		_ = q.w.Info(l.text)
	default:
		_ = q.w.Debug(l.text)
	}
}

// Close writes what is waiting, for two seconds at most, and closes the socket.
func (q *lineQueue) Close() error {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.lines)
	}
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(2 * time.Second):
	}
	return q.w.Close()
}
