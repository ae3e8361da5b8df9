package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	decodeIfAsked()
	dir, err := os.MkdirTemp("", "spamcatcher-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "spamcatcher")
	// DNS is not to be asked by accident: what a test does not provide stays on
	// this machine.
	resolvConf = filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(resolvConf, []byte("nameserver 127.0.0.1\n"), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	build := exec.Command("go", "build", "-ldflags", "-X main.resolvConf="+resolvConf, "-o", binary, ".")
	build.Stderr = os.Stderr
	code := 1
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the program under test:", err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// A process is a running gateway.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	state   string
	address string // of the SMTP listener

	mu     sync.Mutex
	stderr bytes.Buffer
	waited chan error
}

// toStderr keeps the log out of the machine's syslog.
const toStderr = "\n[log]\nsyslog = \"off\"\n"

// write writes a file of a test and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs the gateway on a port that the kernel chooses, with the
// configuration text if any, and waits until it accepts mail.
func start(t *testing.T, state, config string, args ...string) *process {
	t.Helper()
	p := &process{t: t, state: state, waited: make(chan error, 1)}
	args = append([]string{"run", "--state", state}, args...)
	if !slices.Contains(args, "--config") {
		args = append(args, "--config", write(t, "spamcatcher.toml", config+toStderr))
		if !strings.Contains(config, "listen") {
			args = append(args, "--listen", "127.0.0.1:0")
		}
	}
	p.cmd = exec.Command(binary, args...)
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	accepting := make(chan string, 1)
	go func() {
		pattern := regexp.MustCompile(`msg="accepting mail" address=(\S+)`)
		lines := bufio.NewScanner(pipe)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.mu.Lock()
			p.stderr.WriteString(lines.Text() + "\n")
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
		t.Fatalf("the gateway ended: %v\n%s", err, p.log())
	case <-time.After(30 * time.Second):
		p.cmd.Process.Signal(syscall.SIGQUIT) // it says what it is doing
		<-p.waited
		p.waited <- nil
		t.Fatalf("the gateway did not start\n%s", p.log())
	}
	return p
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// kill ends the process without warning.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.waited <- <-p.waited
}

// stop ends the process as an administrator does, and returns how it ended.
func (p *process) stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.waited:
		p.waited <- err
		return err
	case <-time.After(60 * time.Second):
		p.t.Errorf("the gateway did not end after SIGTERM\n%s", p.log())
		return nil
	}
}

// waitFor waits until the condition holds.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// delivered reads the messages in the Maildir of a state directory.
func delivered(t *testing.T, state string) []*mail.Message {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(state, "maildir", "new", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var list []*mail.Message
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v\n%s", file, err, text)
		}
		list = append(list, m)
	}
	return list
}

// send sends a message; LF in it becomes CRLF.
func send(address, from string, to []string, message string) error {
	message = strings.ReplaceAll(strings.ReplaceAll(message, "\r\n", "\n"), "\n", "\r\n")
	c, err := smtp.Dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Hello("client.example.net"); err != nil {
		return err
	}
	if err := c.Mail(from); err != nil {
		return err
	}
	for _, r := range to {
		if err := c.Rcpt(r); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(message)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// need skips a test loudly when a program is not installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			if _, err := os.Stat("/usr/sbin/" + name); err != nil {
				t.Skipf("SKIPPED: %s is not installed; `make peers-deps` installs the peers of the end-to-end tests", name)
			}
		}
	}
}

// closedPort returns an address on loopback that nobody listens on.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// cli runs another command of the program.
func cli(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// A spam and a good message, written for these tests.
const (
	spamMessage = `From: "Mr. Bernard Okoro" <bernard.okoro1974@freemail.example>
Reply-To: <claims.desk@another-mail.example>
To: undisclosed-recipients:;
Subject: URGENT BUSINESS PROPOSAL - YOUR INHERITANCE OF $ 12,500,000.00 USD
Date: Mon, 16 Nov 2026 04:11:09 +0100
Message-ID: <1@freemail.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

DEAR FRIEND,

I am Barrister Bernard Okoro, attorney to your late relative, who died in a plane
crash with his next of kin and left behind the sum of TWELVE MILLION FIVE HUNDRED
THOUSAND UNITED STATES DOLLARS in a bank here. I ask your leave to name you
as his next of kin, whereupon the fund can be transferred into your bank account and
be shared between us, 40% for you. This transaction is 100% risk free and must be
kept strictly confidential. Send me urgently your full name, address, telephone
number, occupation and a copy of your passport.

Yours faithfully,
Barrister Bernard Okoro
`
	goodMessage = `From: Karin Lind <karin@lind.example.org>
To: Tomas Berg <tomas@example.net>
Subject: Re: Thursday's meeting
Date: Mon, 16 Nov 2026 09:12:44 +0100
Message-ID: <20261116081244.GA3127@lind.example.org>
In-Reply-To: <8b1f0a52-3f0e@example.net>
References: <8b1f0a52-3f0e@example.net>
User-Agent: Mutt/2.2.9
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

Hi Tomas,

On Sun, Nov 15, 2026, Tomas Berg wrote:
> Shall we move it to three o'clock? The room is taken until then.

Three is fine. I'll bring the drawings of the second floor, and Eva has the
measurements from last week.

Karin
`
)

// A dialogue is a raw SMTP connection.
type dialogue struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, address string) *dialogue {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return talk(t, conn)
}

// talk makes a dialogue of a connection, which ends with the test.
func talk(t *testing.T, conn net.Conn) *dialogue {
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return &dialogue{t, conn, bufio.NewReader(conn)}
}

// say sends a line.
func (d *dialogue) say(line string) {
	d.t.Helper()
	if _, err := d.conn.Write([]byte(line + "\r\n")); err != nil {
		d.t.Fatal(err)
	}
}

// expect reads one reply, which must begin as given.
func (d *dialogue) expect(prefix string) string {
	d.t.Helper()
	var reply strings.Builder
	for {
		line, err := d.in.ReadString('\n')
		reply.WriteString(line)
		if err != nil {
			d.t.Fatalf("waiting for %s: %q, %v", prefix, reply.String(), err)
		}
		if len(line) > 3 && line[3] != '-' {
			break
		}
	}
	if !strings.HasPrefix(reply.String(), prefix) {
		d.t.Errorf("reply %q, want %s", reply.String(), prefix)
	}
	return reply.String()
}
