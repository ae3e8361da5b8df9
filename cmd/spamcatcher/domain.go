package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/relay"
	"spamcatcher/queue"
)

func domainCommand(g *global) *cobra.Command {
	root := &cobra.Command{
		Use:   "domain",
		Short: "Look at the domains that mail is relayed for",
		Long:  "Shows the [[domain]] tables of the configuration, and what is known of the servers behind.",
	}
	root.AddCommand(domainList(g), domainShow(g), domainCheck(g))
	return root
}

func domainList(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the domains and whether their servers are up",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			domains, _, err := newDomains(config)
			if err != nil {
				return usageError{err}
			}
			states := laneStates(config)
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "DOMAIN\tDESTINATIONS\tVERIFY\tETRN FROM\tSTATE")
			for _, s := range config.ByDomain {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Name, orDash(s.Destinations), orDash([]string{s.Verify}), orDash(s.ETRNFrom), stateOf(states, laneOf(domains, s)))
			}
			return w.Flush()
		},
	}
}

// laneOf is the queue in which mail for the scope's domain waits.
func laneOf(t *domain.Table, s Scope) string {
	if d, ok := exact(t, s.Name); ok && d.Own() {
		return d.Queue
	}
	return ""
}

// laneStates are what the running gateway knows of its destinations; nil when
// it does not run.
func laneStates(c *Config) []queue.LaneState {
	client, err := dialControl(c.socket())
	if err != nil {
		return nil
	}
	defer client.Close()
	states, err := client.LaneStates()
	if err != nil {
		return nil
	}
	if states == nil {
		states = []queue.LaneState{} // it runs
	}
	return states
}

func stateOf(states []queue.LaneState, lane string) string {
	if states == nil {
		return "gateway not running"
	}
	for _, s := range states {
		if s.Name == lane {
			return laneText(s)
		}
	}
	return "up, nothing waits"
}

func orDash(words []string) string {
	if text := strings.Join(words, " "); text != "" {
		return text
	}
	return "-"
}

// domainNamed returns the table of a domain.
func domainNamed(c *Config, name string) (Scope, error) {
	for _, s := range c.ByDomain {
		if strings.EqualFold(s.Name, name) {
			return s, nil
		}
	}
	names := make([]string, len(c.ByDomain))
	for i, s := range c.ByDomain {
		names[i] = s.Name
	}
	return Scope{}, usageError{fmt.Errorf("no [[domain]] table is named %q%s", name, didYouMean(name, names))}
}

func domainShow(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "show DOMAIN",
		Short: "Show one domain: its settings, its destinations, the mail that waits",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			s, err := domainNamed(config, args[0])
			if err != nil {
				return err
			}
			domains, _, err := newDomains(config)
			if err != nil {
				return usageError{err}
			}
			lane := laneOf(domains, s)
			out := c.OutOrStdout()
			printScope(out, "domain", s)
			fmt.Fprintln(out)
			fmt.Fprintf(out, "%-12s %s\n", "queue", laneName(lane))
			fmt.Fprintf(out, "%-12s %s\n", "servers", stateOf(laneStates(config), lane))
			q, err := openStore(config)
			if err != nil {
				fmt.Fprintf(out, "%-12s %v\n", "mail", err)
				return nil
			}
			defer q.Close()
			waiting, held, size := 0, 0, int64(0)
			var oldest time.Time
			err = q.List(c.Context(), queue.Filter{Domain: s.Name}, func(it *queue.Item) bool {
				if it.Hold != "" {
					held++
					return true
				}
				waiting, size = waiting+1, size+it.Size
				if oldest.IsZero() || it.Received.Before(oldest) {
					oldest = it.Received
				}
				return true
			})
			if err != nil {
				return err
			}
			text := fmt.Sprintf("%d waiting (%d bytes), %d held", waiting, size, held)
			if waiting > 0 {
				text += ", the oldest for " + age(oldest)
			}
			fmt.Fprintf(out, "%-12s %s\n", "mail", text)
			return nil
		},
	}
}

func domainCheck(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "check [DOMAIN...]",
		Short: "Check domains: MX, destinations, recipients, ETRN",
		Long: `Finds out for each domain (all that have a table, or those named) whether its MX points to
this machine, whether each destination answers and can encrypt as is demanded, whether it
refuses recipients that do not exist, and whether it could send ETRN. Nothing is delivered.
The exit code is 1 when something does not work.`,
		RunE: func(c *cobra.Command, args []string) error {
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			scopes := config.ByDomain
			if len(args) > 0 {
				scopes = nil
				for _, name := range args {
					s, err := domainNamed(config, name)
					if err != nil {
						return err
					}
					scopes = append(scopes, s)
				}
			}
			if len(scopes) == 0 {
				return usageError{fmt.Errorf("there is no [[domain]] table in the configuration")}
			}
			inForce, _, err := prepare(config, nil, nil)
			if err != nil {
				return err
			}
			check := domainChecker{out: c.OutOrStdout(), resolver: lookup.System{}, inForce: inForce}
			for _, s := range scopes {
				if err := check.domain(c.Context(), s); err != nil {
					return err
				}
			}
			if check.failed {
				return errReported
			}
			return nil
		},
	}
}

// A domainChecker says what works for domains and what does not.
type domainChecker struct {
	out      io.Writer
	resolver lookup.Resolver
	inForce  *inForce
	failed   bool
}

// How a finding is marked. What is open may be meant.
const (
	good = "ok"
	open = "-"
	bad  = "FAIL"
)

// say writes one finding. What is bad makes the command fail.
func (d *domainChecker) say(mark, what, format string, args ...any) {
	d.failed = d.failed || mark == bad
	fmt.Fprintf(d.out, "  %-4s %-12s %s\n", mark, what, printable(fmt.Sprintf(format, args...)))
}

// checkTimeout bounds what is asked about one domain.
const checkTimeout = time.Minute

func (d *domainChecker) domain(ctx context.Context, s Scope) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	fmt.Fprintln(d.out, s.Name)
	name := strings.TrimPrefix(s.Name, ".")
	d.mx(ctx, name)
	own, _ := exact(d.inForce.domains, s.Name)
	route := d.inForce.config.globalRoute()
	if own.Own() {
		route = d.inForce.config.routeOf(own)
	}
	if len(route.Servers) == 0 {
		d.say(good, "destination", "none of its own, and no outgoing_smtp: mail goes into the Maildir %s", d.inForce.config.maildir())
		return nil
	}
	r, err := relay.New(relay.Config{Hostname: d.inForce.config.Hostname, Route: d.inForce.route})
	if err != nil {
		return err
	}
	defer r.Close()
	for _, p := range r.Probe(ctx, route, name) {
		d.destination(p, route, s.Verify)
	}
	d.etrn(ctx, own)
	return nil
}

// mx says whether mail for the domain comes here.
func (d *domainChecker) mx(ctx context.Context, domain string) {
	hosts, err := lookup.MailHosts(ctx, d.resolver, domain)
	switch {
	case err != nil:
		d.say(bad, "mx", "%v", err)
		return
	case len(hosts) == 0:
		d.say(bad, "mx", "the domain says that it takes no mail (null MX)")
		return
	}
	here := d.addressesHere(ctx)
	for _, host := range hosts {
		if strings.EqualFold(host, d.inForce.config.Hostname) {
			d.say(good, "mx", "%s is this machine's name", host)
			return
		}
		addresses, _ := lookup.Addresses(ctx, d.resolver, host)
		for _, a := range addresses {
			if here[a.Unmap()] {
				d.say(good, "mx", "%s (%s) is this machine", host, a)
				return
			}
		}
	}
	d.say(bad, "mx", "%s: not this machine (%s)", strings.Join(hosts, ", "), d.inForce.config.Hostname)
}

// addressesHere are the addresses of this machine: those of its interfaces,
// and those that its name has in DNS.
func (d *domainChecker) addressesHere(ctx context.Context) map[netip.Addr]bool {
	here := map[netip.Addr]bool{}
	if list, err := net.InterfaceAddrs(); err == nil {
		for _, a := range list {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				here[p.Addr().Unmap()] = true
			}
		}
	}
	if list, err := lookup.Addresses(ctx, d.resolver, d.inForce.config.Hostname); err == nil {
		for _, a := range list {
			here[a.Unmap()] = true
		}
	}
	return here
}

// destination says what is known of one server: whether it answers, how it
// encrypts, and whether it knows its recipients.
func (d *domainChecker) destination(p relay.ProbeResult, route relay.Route, verify string) {
	if p.Reply != "" {
		d.say(bad, "destination", "%s: %s", p.Server, p.Reply)
	} else {
		d.say(good, "destination", "%s answers in %v: %s", p.Server, p.Took.Round(time.Millisecond), p.Greeting)
	}
	switch {
	case p.TLS == "" && p.Reply == "":
		d.say(open, "tls", "%s offers none: mail goes in plain text", p.Server)
	case p.TLS != "":
		d.say(good, "tls", "%s: %s, certificate until %s", p.Server, p.TLS, p.Expires.Format(time.DateOnly))
		if p.Certificate != "" && len(route.Pins) == 0 {
			d.say(open, "tls", "%s: %s (tls_pin = [%q] would trust it)", p.Server, p.Certificate, p.Pins[0])
		}
	}
	switch {
	case p.Reply != "":
	case p.Recipients == relay.Missing:
		d.say(good, "recipients", "%s refuses those that do not exist: verify = \"callout\" works", p.Server)
	case p.Recipients == relay.Exists && verify == domain.VerifyCallout:
		d.say(bad, "recipients", "%s takes mail for every recipient: verify = \"callout\" finds out nothing", p.Server)
	case p.Recipients == relay.Exists:
		d.say(open, "recipients", "%s takes mail for every recipient: only a list can verify them", p.Server)
	default:
		d.say(open, "recipients", "%s does not say whether a recipient exists", p.Server)
	}
}

// etrn says whether the destinations may ask for the mail that waits.
func (d *domainChecker) etrn(ctx context.Context, own domain.Domain) {
	if len(own.ETRNFrom) == 0 {
		return
	}
	for _, server := range own.Destinations {
		address, err := relay.ParseServer(server)
		if err != nil {
			continue
		}
		host, _, _ := net.SplitHostPort(address)
		list, err := lookup.Addresses(ctx, d.resolver, host)
		if err != nil {
			continue // the destination's own finding
		}
		for _, a := range list {
			if own.Releases(a, nil, time.Now()) {
				d.say(good, "etrn", "%s (%s) may send it", host, a)
			} else {
				d.say(open, "etrn", "%s (%s) is not in etrn_from", host, a)
			}
		}
	}
}
