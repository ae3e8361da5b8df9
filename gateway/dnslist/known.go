package dnslist

// Known returns the zones that the program knows, for those who configure none.
// All were alive and free of charge for small sites when this was written; what
// each allows is said beside it, and is the operator's of this program to heed.
// Most answer neither public resolvers nor those of big providers: the self-test
// shows it. Points are judgement: what lists of spam sources say is worth more
// than what is said about shared or broken-into hosts.
func Known() []Zone {
	return []Zone{
		// Free for small, non-commercial sites that ask by a resolver of their own;
		// others need a contract (its "DNSBL usage terms"). SBL: known sources; CSS:
		// sources found by machine; XBL: hosts that are broken into; DROP: networks
		// that are criminals' altogether; PBL: addresses that send no mail directly.
		{Name: "zen.spamhaus.org", Label: "ZEN", Of: Clients, Points: 3, Codes: []Code{
			{Match: "127.0.0.2", Meaning: "SBL", Points: 3},
			{Match: "127.0.0.3", Meaning: "CSS", Points: 3},
			{Match: "127.0.0.4-127.0.0.7", Meaning: "XBL", Points: 3},
			{Match: "127.0.0.9", Meaning: "DROP", Points: 2}, // always beside SBL
			{Match: "127.0.0.10-127.0.0.11", Meaning: "PBL", Points: 2.5},
		}},
		// The same terms. Only what is known to be spammers': a page beside theirs
		// on a host that is broken into proves little.
		{Name: "sbl.spamhaus.org", Label: "SBL_LINK", Of: LinkAddresses, Points: 1.5, Codes: []Code{
			{Match: "127.0.0.2", Points: 1.5},
			{Match: "127.0.0.9", Meaning: "DROP", Points: 1},
		}},
		// The same terms. It answers questions about addresses with an error code.
		{Name: "dbl.spamhaus.org", Label: "DBL", Of: Links | LinkHosts | Senders, Test: "dbltest.com", Points: 3, Codes: []Code{
			{Match: "127.0.1.2", Meaning: "SPAM", Points: 3.5},
			{Match: "127.0.1.4", Meaning: "PHISH", Points: 4},
			{Match: "127.0.1.5", Meaning: "MALWARE", Points: 4},
			{Match: "127.0.1.6", Meaning: "BOTNET", Points: 4},
			{Match: "127.0.1.102", Meaning: "ABUSED_SPAM", Points: 1.5},
			{Match: "127.0.1.103", Meaning: "ABUSED_REDIRECTOR", Points: 1},
			{Match: "127.0.1.104", Meaning: "ABUSED_PHISH", Points: 2},
			{Match: "127.0.1.105", Meaning: "ABUSED_MALWARE", Points: 2},
			{Match: "127.0.1.106", Meaning: "ABUSED_BOTNET", Points: 2},
		}},
		// Free for all; its operator advises to score, not to refuse.
		{Name: "bl.spamcop.net", Label: "SPAMCOP", Of: Clients, Points: 1.5, Mode: modeScore, Codes: []Code{
			{Match: "127.0.0.2"},
		}},
		// Free for all.
		{Name: "psbl.surriel.com", Label: "PSBL", Of: Clients, Points: 1.5, Mode: modeScore, Codes: []Code{
			{Match: "127.0.0.2"},
		}},
		// Free up to 100,000 messages or questions a day. The worst three levels of
		// reputation, and what is part of a wave of spam just now.
		{Name: "bl.mailspike.net", Label: "MAILSPIKE", Of: Clients, Points: 1.5, Mode: modeScore, Codes: []Code{
			{Match: "127.0.0.2", Meaning: "WAVE", Points: 2},
			{Match: "127.0.0.10", Meaning: "WORST", Points: 2.5},
			{Match: "127.0.0.11", Meaning: "WORSE", Points: 2},
			{Match: "127.0.0.12", Meaning: "BAD", Points: 1.5},
		}},
		// Free for small sites; bits, which add up. It is not for hosts that links
		// merely resolve to. Bits 4 and 32 mark throw-away addresses and counters of
		// clicks, which say little about mail.
		{Name: "multi.surbl.org", Label: "SURBL", Of: Links | LinkLiterals, Points: 2, Codes: []Code{
			{Match: "&8", Meaning: "PHISH", Points: 3},
			{Match: "&16", Meaning: "MALWARE", Points: 3},
			{Match: "&64", Meaning: "ABUSE", Points: 2.5},
			{Match: "&128", Meaning: "CRACKED", Points: 1},
		}},
		// Free for small sites; bits, the lowest of which means that it refuses to
		// answer (127.0.0.1, which is never a listing).
		{Name: "multi.uribl.com", Label: "URIBL", Of: Links, Points: 2, Codes: []Code{
			{Match: "&2", Meaning: "BLACK", Points: 2.5},
			{Match: "&4", Meaning: "GREY", Points: 0.5},
			{Match: "&8", Meaning: "RED", Points: 0.3},
		}},
		// Good senders, by how far they are trusted: 127.0.CATEGORY.TRUST. Free up to
		// 100,000 questions a day. 127.0.0.255 says that we ask too much.
		{Name: "list.dnswl.org", Label: "DNSWL", Of: Clients, Points: -0.5, Mode: modeScore, Codes: []Code{
			{Match: "127.0.2-254.0", Meaning: "NONE", Points: -0.1},
			{Match: "127.0.2-254.1", Meaning: "LOW", Points: -0.7},
			{Match: "127.0.2-254.2", Meaning: "MEDIUM", Points: -2},
			{Match: "127.0.2-254.3", Meaning: "HIGH", Points: -4},
		}},
		// Closed in June 2024; here because configurations name them.
		{Name: "dul.dnsbl.sorbs.net", Label: "SORBS_DUL", Of: Clients, Mode: modeOff},
		{Name: "web.dnsbl.sorbs.net", Label: "SORBS_WEB", Of: Clients, Mode: modeOff},
		{Name: "socks.dnsbl.sorbs.net", Label: "SORBS_SOCKS", Of: Clients, Mode: modeOff},
		{Name: "http.dnsbl.sorbs.net", Label: "SORBS_HTTP", Of: Clients, Mode: modeOff},
	}
}
