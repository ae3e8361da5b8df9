package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/queue"
)

// The torture tests break the process, its disk and its limits from outside, and then count. They know the gateway by
// its SMTP port, its commands and its files only. Without variables each of them is a small sample, so that `go test`
// stays quick; `make torture` runs them in full:
//
//	SPAMCATCHER_TORTURE=1   the fault matrix and the walk over system calls
//	SPAMCATCHER_KILLS=N     kills under load
//	SPAMCATCHER_CUTS=N      power cuts
//	SPAMCATCHER_STRIDE=N    the walk kills at every N'th system call only
//	SPAMCATCHER_KEEP=DIR    what a failure leaves behind is copied to DIR

// tortured returns the number that a variable asks for, or a default.
func tortured(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// inFull skips a test that is too long for every run, aloud.
func inFull(t *testing.T) {
	t.Helper()
	if os.Getenv("SPAMCATCHER_TORTURE") == "" {
		t.Skip("SKIPPED: a part of `make torture`, which sets SPAMCATCHER_TORTURE=1")
	}
}

// keepState copies what a failed test leaves behind to where SPAMCATCHER_KEEP says.
func keepState(t *testing.T, state string) {
	dir := os.Getenv("SPAMCATCHER_KEEP")
	if dir == "" {
		return
	}
	to := filepath.Join(dir, fmt.Sprintf("%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), time.Now().UnixNano()))
	if err := exec.Command("cp", "-a", state, to).Run(); err != nil {
		t.Logf("the state could not be kept: %v", err)
		return
	}
	t.Logf("the state is kept in %s", to)
}

// tortureBody is a message of about size octets that says by itself whether it is whole.
func tortureBody(id string, size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%s, line %d of a message whose only purpose is to arrive\r\n", id, i)
	}
	sum := crc32.ChecksumIEEE(b.Bytes())
	return append(fmt.Appendf(nil, "From: Sender <a@example.org>\r\nTo: Somebody <b@example.net>\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\nDate: Mon, 16 Nov 2026 09:12:44 +0100\r\nX-Torture: %s %d %d\r\n\r\n",
		id, id, id, b.Len(), sum), b.Bytes()...)
}

var tortureHeader = regexp.MustCompile(`(?m)^X-Torture: (\S+) (\d+) (\d+)`)

// whatCame returns which message b (with LF line ends) is and whether it is whole.
func whatCame(b []byte) (id string, whole bool) {
	head, body, found := bytes.Cut(b, []byte("\n\n"))
	m := tortureHeader.FindSubmatch(head)
	if m == nil || !found {
		return "?", false
	}
	body = bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n"))
	return string(m[1]), string(m[2]) == strconv.Itoa(len(body)) && string(m[3]) == strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)
}

// A sender is an SMTP session that is used for many messages.
type sender struct {
	conn net.Conn
	text *textproto.Conn
}

func newSender(address string) (*sender, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	s := &sender{conn, textproto.NewConn(conn)}
	if _, _, err := s.text.ReadResponse(220); err != nil {
		conn.Close()
		return nil, err
	}
	if err := s.ask(250, "EHLO client.example.org"); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *sender) close() { s.conn.Close() }

func (s *sender) ask(code int, command string) error {
	s.conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if err := s.text.PrintfLine("%s", command); err != nil {
		return err
	}
	_, _, err := s.text.ReadResponse(code)
	return err
}

// send returns nil as soon as the message was answered 250, and a *textproto.Error when it was answered otherwise.
// The reverse path names the message, so that logs do too.
func (s *sender) send(id string, to []string, message []byte) error {
	if err := s.ask(250, "MAIL FROM:<"+id+"@example.org>"); err != nil {
		return err
	}
	for _, r := range to {
		if err := s.ask(25, "RCPT TO:<"+r+">"); err != nil {
			return err
		}
	}
	if err := s.ask(354, "DATA"); err != nil {
		return err
	}
	// A line of these messages never begins with a dot.
	if _, err := s.conn.Write(append(slices.Clip(message), ".\r\n"...)); err != nil {
		return err
	}
	_, _, err := s.text.ReadResponse(250)
	return err
}

// sendOnce sends one message in a session of its own.
func sendOnce(address, id string, to []string, size int) error {
	s, err := newSender(address)
	if err != nil {
		return err
	}
	defer s.close()
	return s.send(id, to, tortureBody(id, size))
}

// replyCode returns the code of an SMTP reply that is an error, 0 for another error.
func replyCode(err error) int {
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		return e.Code
	}
	return 0
}

// A promises is what was answered 250, and therefore must arrive.
type promises struct {
	mu     sync.Mutex
	number int
	name   string
	made   map[delivery]bool
	tried  map[string]bool // ids that were sent, whatever the answer was
}

func newPromises(name string) *promises {
	return &promises{name: name, made: map[delivery]bool{}, tried: map[string]bool{}}
}

// next returns a new id.
func (p *promises) next() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.number++
	id := fmt.Sprintf("%s-%d", p.name, p.number)
	p.tried[id] = true
	return id
}

// add notes that the message was answered 250.
func (p *promises) add(id string, to []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range to {
		p.made[delivery{id, r}] = true
	}
}

// count returns how many deliveries are promised.
func (p *promises) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.made)
}

// reset lets nothing be promised but that.
func (p *promises) reset(made map[delivery]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made = map[delivery]bool{}
	maps.Copy(p.made, made)
}

// copied returns what is promised by now.
func (p *promises) copied() map[delivery]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.made)
}

// load sends from n clients until stop is closed; clients that lose their session make a new one.
func (p *promises) load(n int, address string, to func() []string, size func() int, stop <-chan struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			var s *sender
			defer func() {
				if s != nil {
					s.close()
				}
			}()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if s == nil {
					var err error
					if s, err = newSender(address); err != nil {
						s = nil
						select {
						case <-stop:
							return
						case <-time.After(5 * time.Millisecond):
						}
						continue
					}
				}
				id, rcpt := p.next(), to()
				if err := s.send(id, rcpt, tortureBody(id, size())); err == nil {
					p.add(id, rcpt)
				} else {
					s.close()
					s = nil
				}
			}
		})
	}
	return &wg
}

// anySize is a size from 1 to 200 KB, small ones more often.
func anySize() int { return 1000 << (rand.IntN(20) / 3) * (16 + rand.IntN(16)) / 16 }

// A launch is how a gateway is started by a torture test.
type launch struct {
	state  string
	config string            // the file
	under  []string          // a command that runs the gateway, if any
	began  func(*os.Process) // called as soon as it runs
}

// tortureConfig writes the configuration that the torture tests share: mail for each domain goes to its own sink.
func tortureConfig(t *testing.T, extra string, domains map[string]*mailSink) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "hostname = \"mx.example.com\"\nlisten = [\"127.0.0.1:0\"]\n")
	b.WriteString(extra + toStderr)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range domains {
			if !yield(n) {
				return
			}
		}
	}) {
		fmt.Fprintf(&b, "[[domain]]\nname = %q\ndestinations = [%q]\n", name, domains[name].addr)
	}
	return write(t, "spamcatcher.toml", b.String())
}

// start starts the gateway and returns how long it took until it greeted a client.
func (l launch) start(t *testing.T) (*process, time.Duration, error) {
	t.Helper()
	p := &process{t: t, state: l.state, waited: make(chan error, 1)}
	args := append(slices.Clone(l.under), binary, "run", "--state", l.state, "--config", l.config)
	p.cmd = exec.Command(args[0], args[1:]...)
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, 0, err
	}
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, 0, err
	}
	if l.began != nil {
		l.began(p.cmd.Process)
	}
	accepting := make(chan string, 1)
	go func() {
		pattern := regexp.MustCompile(`msg="accepting mail" address=(\S+)`)
		lines := bufio.NewScanner(pipe)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.mu.Lock()
			if p.stderr.Len() < 8<<20 {
				p.stderr.WriteString(lines.Text() + "\n")
			}
			p.mu.Unlock()
			if m := pattern.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case accepting <- m[1]:
				default:
				}
			}
		}
		p.waited <- p.cmd.Wait()
	}()
	t.Cleanup(p.kill)
	select {
	case p.address = <-accepting:
	case err := <-p.waited:
		p.waited <- err
		return p, 0, fmt.Errorf("the gateway ended: %v\n%s", err, p.log())
	case <-time.After(30 * time.Second):
		p.kill()
		return p, 0, fmt.Errorf("the gateway did not start within 30 s\n%s", p.log())
	}
	s, err := newSender(p.address)
	if err != nil {
		return p, 0, fmt.Errorf("the gateway does not greet: %w\n%s", err, p.log())
	}
	s.close()
	return p, time.Since(begin), nil
}

// must is start for where a failure is the end of the test.
func (l launch) must(t *testing.T) *process {
	t.Helper()
	p, _, err := l.start(t)
	if err != nil {
		keepState(t, l.state)
		t.Fatal(err)
	}
	return p
}

// listQueue returns what is in the queue.
func listQueue(t *testing.T, l launch) ([]queue.Item, error) {
	t.Helper()
	out, errs, code := cli(t, "", "queue", "list", "--json", "--state", l.state, "--config", l.config)
	if code != 0 {
		return nil, fmt.Errorf("queue list: code %d, %s", code, errs)
	}
	var list []queue.Item
	for decode := json.NewDecoder(strings.NewReader(out)); ; {
		var it queue.Item
		if err := decode.Decode(&it); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, fmt.Errorf("queue list: %w", err)
		}
		list = append(list, it)
	}
}

// drain lets everything out of the queue of a running gateway, held mail too, and returns how many items were held.
func drain(t *testing.T, l launch, patience time.Duration) (held int) {
	t.Helper()
	released := map[string]bool{}
	var last []queue.Item
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		list, err := listQueue(t, l)
		if err != nil {
			t.Error(err)
			continue
		}
		if last = list; len(list) == 0 {
			return len(released)
		}
		for _, it := range list {
			if it.Hold != "" {
				released[it.ID] = true
				cli(t, "", "queue", "release", it.ID, "--state", l.state, "--config", l.config)
			}
		}
		cli(t, "", "queue", "flush", "--state", l.state, "--config", l.config)
	}
	keepState(t, l.state)
	t.Errorf("%d messages do not leave the queue, such as %+v", len(last), last[0])
	return len(released)
}

// logCount counts the lines of a log that match.
func logCount(log, pattern string) int {
	return len(regexp.MustCompile("(?m)^.*(?:"+pattern+").*$").FindAllString(log, -1))
}

var attemptLine = regexp.MustCompile(`(?m)msg=attempt .*\bfrom=(\S+)@example\.org to=(\S+) state=delivered`)

// recorded returns the deliveries that a process has noted before it died.
func recorded(log string) []delivery {
	var all []delivery
	for _, m := range attemptLine.FindAllStringSubmatch(log, -1) {
		all = append(all, delivery{m[1], m[2]})
	}
	return all
}
