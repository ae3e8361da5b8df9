package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSyslog: lines go to the configured socket with facility mail, their
// level as severity, and without a time of their own.
func TestSyslog(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	l, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	log, closer, err := openLog(&Config{Syslog: socket, LogLevel: "info"})
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("not wanted")
	log.Info("message", "sender", "a\nb@example.org")
	log.With("session", 7).Error("trouble")
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
	buffer := make([]byte, 4096)
	// Facility mail is 2: RFC 3164 section 4.1.1. Severities 6 and 3.
	for _, want := range []string{"<22>", "<19>"} {
		l.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _, err := l.ReadFrom(buffer)
		if err != nil {
			t.Fatal(err)
		}
		line := string(buffer[:n])
		if !strings.HasPrefix(line, want) || strings.Contains(line, "time=") || strings.Count(strings.TrimSpace(line), "\n") > 0 {
			t.Errorf("line %q, want one that begins with %s", line, want)
		}
		if want == "<19>" && !strings.Contains(line, "session=7") {
			t.Errorf("line %q lacks the attribute", line)
		}
	}
}

// TestStuckSyslogHoldsUpNothing: when nobody reads the socket, logging goes
// on, and what was dropped is counted.
func TestStuckSyslogHoldsUpNothing(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	l, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	log, closer, err := openLog(&Config{Syslog: socket, LogLevel: "info"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan bool)
	go func() {
		for i := range 20000 {
			log.Info("line", "number", i)
		}
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("a stuck syslog held up the program")
	}
	// Now somebody reads, and is told what is missing.
	told := make(chan string, 1)
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, _, err := l.ReadFrom(buffer)
			if err != nil {
				return
			}
			if line := string(buffer[:n]); strings.Contains(line, "were dropped") {
				told <- line
				return
			}
		}
	}()
	select {
	case <-told:
	case <-time.After(20 * time.Second):
		t.Error("nobody was told of the dropped lines")
	}
	closer.Close()
}

func TestNoSyslog(t *testing.T) {
	if _, _, err := openLog(&Config{Syslog: "/nonexistent/log", LogLevel: "info"}); err == nil || !strings.Contains(err.Error(), "log.syslog") {
		t.Errorf("error %v", err)
	}
	log, closer, err := openLog(&Config{Syslog: "off", LogLevel: "warn"})
	if err != nil || log == nil {
		t.Fatal(err)
	}
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
}
