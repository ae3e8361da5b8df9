package main

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

// A scopeModel is what one domain wants: thresholds in points, 0 for never.
type scopeModel struct {
	name, queue                                string
	reject, discard, quarantine, subject, flag int
	behind                                     *relaytest.Server
}

// fate is what becomes of a message of so many points for the domain's
// recipients. Of several actions the one that tells the sender first counts.
func (s scopeModel) fate(points int) (action string, tagged, flagged bool) {
	above := func(threshold int) bool { return threshold != 0 && points >= threshold }
	switch {
	case above(s.reject):
		action = "refuse"
	case above(s.discard):
		action = "discard"
	case above(s.quarantine):
		action = "hold"
	default:
		action = "deliver"
	}
	return action, above(s.subject), above(s.flag)
}

// TestRandomPolicies sends messages to random recipients of domains with random
// policies, many in one transaction, and compares what became of each recipient
// with a model: one reply, one outcome for each, each copy with its own header
// and tag, nothing twice and nothing for others.
func TestRandomPolicies(t *testing.T) {
	const seed, transactions = 20261122, 80
	rounds := 2
	if torture() {
		rounds = 20
	}
	random := rand.New(rand.NewPCG(seed, 0))
	// Far from every threshold below: whatever the envelope adds cannot matter.
	messages := []struct {
		text, tag string
		points    int
	}{{goodMessage, "Thursday's meeting", -10}, {suspectMessage, "Your inheritance", 18}, {spamMessage, "URGENT BUSINESS PROPOSAL", 32}}
	levels := []int{0, 0, 8, 12, 23, 26, 60}
	refused, delivered, held, discarded, mixed := 0, 0, 0, 0, 0
	for round := range rounds {
		var scopes []*scopeModel
		config := "hostname = 'mx.example.net'\n"
		level := func() int { return levels[random.IntN(len(levels))] }
		for i := range 5 {
			s := &scopeModel{name: fmt.Sprintf("domain%d.example.org", i), reject: level(), discard: level(), quarantine: level(), subject: level(), flag: level()}
			if i == 4 { // shares its queue with the one before, not its policy
				s.queue, s.behind = "shared", scopes[3].behind
			} else {
				s.behind = relaytest.Start(t, relaytest.Script{})
				if i == 3 {
					s.queue = "shared"
				}
			}
			scopes = append(scopes, s)
			config += fmt.Sprintf("[[domain]]\nname = '%s'\ndestinations = [%q]\n", s.name, s.behind.Addr)
			if s.queue != "" {
				config += fmt.Sprintf("queue = '%s'\n", s.queue)
			}
			for key, points := range map[string]int{"reject": s.reject, "discard": s.discard, "quarantine": s.quarantine, "subject": s.subject, "flag": s.flag} {
				if points != 0 {
					config += fmt.Sprintf("spam_%s = '%d points'\n", key, points)
				}
			}
		}
		p := start(t, t.TempDir(), config)
		a, err := attack(p.address)
		if err == nil {
			err = a.must(250, "EHLO client.example.net")
		}
		if err != nil {
			t.Fatal(err)
		}
		// What each recipient of each transaction must get: "subject recipient" ->
		// how it looks, and how many copies of a transaction a server gets.
		want, wantHeld, copies := map[string]string{}, map[string]int{}, map[string]int{}
		for n := range transactions {
			m := messages[random.IntN(len(messages))]
			key := fmt.Sprintf("%dx%d", round, n)
			var to []string
			var of []*scopeModel
			for range 1 + random.IntN(8) {
				s := scopes[random.IntN(len(scopes))]
				local := fmt.Sprintf("user%d", random.IntN(4))
				if !slices.Contains(to, local+"@"+s.name) {
					to, of = append(to, local+"@"+s.name), append(of, s)
				}
			}
			lines := []string{"MAIL FROM:<b.okoro@freemail.example>"}
			for _, r := range to {
				lines = append(lines, "RCPT TO:<"+r+">")
				if random.IntN(4) == 0 { // again, in another case: it gets one copy
					local, domain, _ := strings.Cut(r, "@")
					lines = append(lines, "RCPT TO:<"+local+"@"+strings.ToUpper(domain)+">")
				}
			}
			if err := a.must(250, lines...); err != nil {
				t.Fatal(err)
			}
			if err := a.must(354, "DATA"); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(m.text, m.tag) {
				t.Fatalf("no %q in the message", m.tag)
			}
			text := strings.ReplaceAll("X-Key: "+key+"\n"+m.text, "\n", "\r\n")
			if err := a.send(text + ".\r\n"); err != nil {
				t.Fatal(err)
			}
			reply, err := a.hear()
			if err != nil {
				t.Fatal(err)
			}
			actions := map[string]bool{}
			for _, s := range of {
				action, _, _ := s.fate(m.points)
				actions[action] = true
			}
			all := len(actions) == 1 && actions["refuse"]
			if expected := map[bool]string{true: "550 5.7.1", false: "250 2.0.0"}[all]; reply.String() != expected {
				t.Errorf("%s of %d points to %v: %s %q, want %s", key, m.points, to, reply, reply.lines, expected)
			}
			if len(actions) > 1 {
				mixed++
			}
			if all {
				refused++
				continue
			}
			groups := map[string]bool{}
			for i, s := range of {
				action, tagged, flagged := s.fate(m.points)
				switch action {
				case "deliver":
					want[key+" "+to[i]] = fmt.Sprintf("tagged %v, flagged %v", tagged, flagged)
					if group := fmt.Sprint(s.behind.Addr, cmp.Or(s.queue, s.name), tagged, flagged); !groups[group] {
						groups[group] = true
						copies[key+" "+s.behind.Addr]++
					}
					delivered++
				case "hold", "refuse": // refused, but others took it
					wantHeld[to[i]]++
					held++
				case "discard":
					discarded++
				}
			}
		}
		total := 0
		for _, n := range copies {
			total += n
		}
		servers := map[*relaytest.Server]bool{}
		for _, s := range scopes {
			servers[s.behind] = true
		}
		waitFor(t, "the deliveries", func() bool {
			n := 0
			for s := range servers {
				n += s.Count()
			}
			return n >= total && len(listed(t, p.state, queue.Filter{Active: true})) == 0
		})
		got, gotCopies := map[string]string{}, map[string]int{}
		for s := range servers {
			for _, m := range s.Messages() {
				head, _, _ := strings.Cut(m.Text(), "\r\n\r\n")
				_, key, _ := strings.Cut(head, "\r\nX-Key: ")
				key, _, _ = strings.Cut(key, "\r\n")
				gotCopies[key+" "+s.Addr]++
				if n := strings.Count(head, "X-SpamCatcher-Score:"); n != 1 {
					t.Errorf("%s has %d scores", key, n)
				}
				look := fmt.Sprintf("tagged %v, flagged %v", strings.Contains(head, "\r\nSubject: [spamcatcher] "), strings.Contains(head, "\r\nX-SpamCatcher-Flag: YES"))
				for _, line := range m.To {
					address := key + " " + strings.TrimSuffix(strings.TrimPrefix(line, "RCPT TO:<"), ">")
					if _, twice := got[address]; twice {
						t.Errorf("%s got it twice", address)
					}
					got[address] = look
				}
			}
			for _, o := range s.Offences() {
				t.Error(o)
			}
		}
		gotHeld := map[string]int{}
		for _, item := range listed(t, p.state, queue.Filter{Held: true}) {
			for _, r := range item.Recipients {
				gotHeld[r.Address]++
			}
		}
		if d := difference(want, got); d != "" {
			t.Errorf("round %d, recipients: %s\n%s", round, d, config)
		}
		if d := difference(copies, gotCopies); d != "" {
			t.Errorf("round %d, copies: %s\n%s", round, d, config)
		}
		if d := difference(wantHeld, gotHeld); d != "" {
			t.Errorf("round %d, held: %s\n%s", round, d, config)
		}
		for _, f := range p.faults() {
			t.Error(f)
		}
		p.kill()
	}
	t.Logf("FIGURES seed %d: %d transactions, %d of them of more than one mind; %d refused; of the recipients of the others %d got it, %d have it held, %d dropped",
		seed, rounds*transactions, mixed, refused, delivered, held, discarded)
}

// difference tells the first few entries in which two maps differ.
func difference[V comparable](want, got map[string]V) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if g, ok := got[k]; !ok {
			list = append(list, fmt.Sprintf("%s is missing (%v)", k, want[k]))
		} else if g != want[k] {
			list = append(list, fmt.Sprintf("%s: %v, want %v", k, g, want[k]))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok {
			list = append(list, fmt.Sprintf("%s is too much (%v)", k, got[k]))
		}
	}
	return strings.Join(list[:min(len(list), 8)], "; ")
}
