package relaytest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Postfix is a running Postfix of its own, with nothing shared with the machine's: the next hop as the world has it.
// It takes mail for any mailbox of example.org but unknown@example.org, and relays nothing.
type Postfix struct {
	Addr    string // "127.0.0.1:port"
	t       testing.TB
	dir     string
	command string
}

// StartPostfix starts a Postfix with the given additional lines of main.cf on a loopback port. It ends with the test. The test
// is skipped, loudly, without Postfix or without root's rights.
func StartPostfix(t testing.TB, settings ...string) *Postfix {
	t.Helper()
	command, err := exec.LookPath("postfix")
	if err != nil {
		command = "/usr/sbin/postfix"
	}
	daemons := "/usr/lib/postfix/sbin"
	if _, err := os.Stat(filepath.Join(daemons, "master")); err != nil {
		t.Skip("SKIPPED: Postfix is not installed (Debian: postfix); it was to be the next hop")
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: Postfix can only be started by root; it was to be the next hop")
	}
	// Postfix needs a path that all its users can walk.
	dir, err := os.MkdirTemp("/tmp", "relaytest-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Postfix{Addr: l.Addr().String(), t: t, dir: dir, command: command}
	l.Close()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatalf("setting Postfix up: %v", err)
		}
	}
	must(os.Chmod(dir, 0o755))
	for _, sub := range []string{"conf", "queue", "data", "mail"} {
		must(os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	must(exec.Command("chown", "postfix", filepath.Join(dir, "data")).Run())
	must(exec.Command("chown", "nobody", filepath.Join(dir, "mail")).Run())
	main := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
daemon_directory = %[2]s
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = next.example.net
mydestination =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 192.0.2.1/32
smtpd_recipient_restrictions = check_recipient_access inline:{ { unknown@example.org = 550 5.1.1 no such mailbox }, { busy@example.org = 450 4.2.0 mailbox busy } }, reject_unauth_destination
virtual_mailbox_domains = example.org
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
default_transport = error:nothing is relayed
maillog_file = %[1]s/mail.log
maillog_file_prefixes = /tmp
%[3]s
`, dir, daemons, strings.Join(settings, "\n"))
	master := p.Addr + ` inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
error unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
`
	conf := filepath.Join(dir, "conf")
	must(os.WriteFile(filepath.Join(conf, "main.cf"), []byte(main), 0o644))
	must(os.WriteFile(filepath.Join(conf, "master.cf"), []byte(master), 0o644))
	t.Cleanup(func() { p.run("stop").Run() })
	p.Start()
	return p
}

func (p *Postfix) run(what string) *exec.Cmd {
	return exec.Command(p.command, "-c", filepath.Join(p.dir, "conf"), what)
}

// Start starts a Postfix that was stopped, and waits until it listens.
func (p *Postfix) Start() {
	p.t.Helper()
	if out, err := p.run("start").CombinedOutput(); err != nil {
		p.t.Fatalf("starting Postfix: %v\n%s\n%s", err, out, p.Log())
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", p.Addr)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("Postfix does not listen: %v\n%s", err, p.Log())
		}
	}
}

// Stop takes it down.
func (p *Postfix) Stop() {
	p.t.Helper()
	if out, err := p.run("stop").CombinedOutput(); err != nil {
		p.t.Fatalf("stopping Postfix: %v\n%s", err, out)
	}
}

// Log returns what Postfix has logged.
func (p *Postfix) Log() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "mail.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Mail returns the messages that were delivered to mailboxes, one for each recipient, with LF line ends.
func (p *Postfix) Mail() ([]string, error) {
	var all []string
	dir := filepath.Join(p.dir, "mail", "all", "new")
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, string(text))
	}
	return all, err
}
