package spamassassin

import (
	"fmt"
	"strconv"
	"strings"
)

// evalCall is an eval rule made ready: it returns how often the rule holds.
type evalCall func(m *mail) float64

// evalFunc makes a rule of a function's arguments.
type evalFunc func(s *compiled, args []string) (evalCall, error)

// yes makes an evalFunc of a question about a mail.
func yes(ask func(m *mail) bool) evalFunc {
	return func(*compiled, []string) (evalCall, error) {
		return func(m *mail) float64 { return truth(ask(m)) }, nil
	}
}

// word makes an evalFunc of a question with one text.
func word(ask func(m *mail, arg string) bool) evalFunc {
	return func(_ *compiled, args []string) (evalCall, error) {
		if len(args) < 1 {
			return nil, fmt.Errorf("needs an argument")
		}
		return func(m *mail) float64 { return truth(ask(m, args[0])) }, nil
	}
}

// span makes an evalFunc of a number that must lie above the first argument and
// not above the second.
func span(value func(m *mail) float64, within func(v, low, high float64) bool) evalFunc {
	return func(_ *compiled, args []string) (evalCall, error) {
		low, high, err := bounds(args)
		if err != nil {
			return nil, err
		}
		return func(m *mail) float64 { return truth(within(value(m), low, high)) }, nil
	}
}

const unbounded = 1e300

// bounds reads two numbers; "undef", "inf" or nothing is no bound.
func bounds(args []string) (low, high float64, err error) {
	low, high = -unbounded, unbounded
	for i, to := range []*float64{&low, &high} {
		if i >= len(args) || args[i] == "undef" || args[i] == "inf" {
			continue
		}
		if *to, err = strconv.ParseFloat(args[i], 64); err != nil {
			return 0, 0, fmt.Errorf("%q is not a number", clip(args[i], 20))
		}
	}
	return low, high, nil
}

func atLeastBelow(v, low, high float64) bool { return v >= low && v < high }
func aboveUpTo(v, low, high float64) bool    { return v > low && v <= high }
func atLeastUpTo(v, low, high float64) bool  { return v >= low && v <= high }

// approximate are functions whose answer may differ from SpamAssassin's, with
// the reason.
var approximate = map[string]string{
	"check_bayes": "answered by our own Bayes check, which has its own weight: no points, only for expressions",
}

// refusedFuncs are functions that can't be done here, with the reason.
func refusedFuncs() map[string]string {
	m := map[string]string{}
	put := func(reason, names string) {
		for _, n := range strings.Fields(names) {
			m[n] = reason
		}
	}
	put("asks DNS lists", "check_rbl check_rbl_sub check_rbl_txt check_rbl_envfrom check_rbl_from_host check_rbl_from_domain check_rbl_ns_from check_rbl_rcvd check_rbl_headers check_uridnsbl check_dns_sender check_hashbl_emails check_hashbl_uris check_hashbl_bodyre check_hashbl_tag check_hashbl_attachments check_senders_reputation check_rp_certified check_mailspike check_asn")
	put("checks sender authentication, which the gateway does", "check_for_spf_pass check_for_spf_none check_for_spf_neutral check_for_spf_softfail check_for_spf_fail check_for_spf_permerror check_for_spf_temperror check_for_spf_helo_pass check_for_spf_helo_none check_for_spf_helo_neutral check_for_spf_helo_softfail check_for_spf_helo_fail check_for_spf_helo_permerror check_for_spf_helo_temperror check_for_spf_welcomelist_from check_for_spf_whitelist_from check_for_def_spf_welcomelist_from check_for_def_spf_whitelist_from check_spf_skipped_noenvfrom "+
		"check_dkim_signed check_dkim_valid check_dkim_valid_author_sig check_dkim_valid_envelopefrom check_dkim_testing check_dkim_dependable check_dkim_adsp check_dkim_signsome check_dkim_signall check_for_dkim_welcomelist_from check_for_dkim_whitelist_from check_for_def_dkim_welcomelist_from check_for_def_dkim_whitelist_from check_arc_signed check_arc_valid "+
		"check_dmarc_pass check_dmarc_reject check_dmarc_quarantine check_dmarc_none check_dmarc_missing")
	put("asks a network service for fingerprints", "check_razor2 check_razor2_range check_pyzor check_dcc check_dcc_reputation_range")
	put("keeps a history of senders", "check_from_in_auto_welcomelist check_from_in_auto_whitelist check_access_database check_reputation")
	put("needs a plugin that is not loaded by default", "pdf_match_details pdf_image_size_range pdf_image_to_text_ratio pdf_match_fuzzy_md5 pdf_pixel_coverage pdf_name_regex pdf_image_count pdf_count pdf_named pdf_match_md5 pdf_is_encrypted pdf_is_empty_body pdf_image_size_exact short_url short_url_chained short_url_redir short_url_maxchain short_url_loop short_url_code check_fromname_spoof check_fromname_different check_fromname_domain_differ check_fromname_contains_email check_fromname_equals_to check_fromname_equals_replyto check_microsoft_executable check_suspect_name check_shortcircuit check_phishing check_language check_body_8bits check_for_country check_olemacro check_olemacro_malice check_olemacro_encrypted check_olemacro_csv check_olemacro_zip_password check_olemacro_renamed check_olemacro_redirect_uri")
	return m
}

// evalFuncs are the functions that eval rules may call.
func evalFuncs() map[string]evalFunc {
	return map[string]evalFunc{
		// of the HTML parts
		"html_test":                word(htmlTest),
		"html_tag_exists":          word(htmlTagExists),
		"html_tag_balance":         htmlTagBalance,
		"html_eval":                htmlCompare,
		"html_range":               htmlRange,
		"html_image_only":          htmlImageOnly,
		"html_image_ratio":         htmlImageRatio,
		"html_text_match":          htmlText(false),
		"html_text_not_match":      htmlText(true),
		"html_title_subject_ratio": htmlTitleRatio,
		"html_charset_faraway":     yes(func(*mail) bool { return false }),
		"check_iframe_src":         yes(iframeSource),
		// of the header
		"check_for_fake_aol_relay_in_rcvd":             yes(fakeAOLRelay),
		"check_for_faraway_charset_in_headers":         yes(func(*mail) bool { return false }),
		"check_for_unique_subject_id":                  yes(func(*mail) bool { return false }),
		"check_illegal_chars":                          illegalChars,
		"gated_through_received_hdr_remover":           yes((*mail).gated),
		"check_for_forged_hotmail_received_headers":    yes(func(m *mail) bool { a, _ := m.hotmail(); return a }),
		"check_for_no_hotmail_received_headers":        yes(func(m *mail) bool { _, b := m.hotmail(); return b }),
		"check_for_forged_eudoramail_received_headers": yes(forgedEudora),
		"check_for_forged_yahoo_received_headers":      yes(forgedYahoo),
		"check_for_forged_juno_received_headers":       yes(forgedJuno),
		"check_for_forged_gmail_received_headers":      yes(forgedGMail),
		"check_for_forged_gw05_received_headers":       yes(forgedGW05),
		"check_for_msn_groups_headers":                 yes((*mail).msnGroups),
		"check_for_matching_env_and_hdr_from":          yes(func(m *mail) bool { return strings.EqualFold(m.one("EnvelopeFrom:addr"), m.one("From:addr")) }),
		"sorted_recipients":                            yes(func(m *mail) bool { s, _ := m.recipients(); return s }),
		"similar_recipients":                           span(func(m *mail) float64 { _, v := m.recipients(); return v }, atLeastBelow),
		"check_for_missing_to_header":                  yes(func(m *mail) bool { return m.one("to") == "" && m.one("apparently-to") == "" }),
		"check_for_shifted_date":                       shiftedDate,
		"received_within_months":                       span(receivedMonths, atLeastBelow),
		"subject_is_all_caps":                          yes(subjectCaps),
		"check_for_to_in_subject":                      word(toInSubject),
		"check_outlook_message_id":                     yes(outlookID),
		"check_messageid_not_usable":                   yes(messageIDNotUsable),
		"check_header_count_range":                     headerCount,
		"check_unresolved_template":                    yes(unresolvedTemplate),
		"check_ratware_name_id":                        yes(ratwareNameID),
		"check_ratware_envelope_from":                  yes(ratwareEnvelope),
		"check_equal_from_domains":                     yes(differentDomains),
		// of the parts
		"check_for_mime":               word(func(m *mail, what string) bool { return m.parts2().number(what) != 0 }),
		"check_for_mime_html":          yes(func(m *mail) bool { return m.typeIsHTML() || m.parts2().html > 0 }),
		"check_for_mime_html_only":     yes(func(m *mail) bool { return m.typeIsHTML() || m.parts2().html > 0 && m.parts2().text == 0 }),
		"check_mime_multipart_ratio":   span(func(m *mail) float64 { return m.parts2().ratio }, atLeastBelow),
		"check_msg_parse_flags":        word(parseFlag),
		"check_for_ascii_text_illegal": yes(func(m *mail) bool { return m.parts2().illegalASCII > 0 }),
		"check_abundant_unicode_ratio": span(func(m *mail) float64 { return m.parts2().unicodeRatio() }, atLeastUpTo),
		"check_for_faraway_charset":    yes(func(*mail) bool { return false }),
		"check_for_uppercase":          span((*mail).uppercase, aboveUpTo),
		"check_ma_non_text":            yes((*mail).alternativeWithOther),
		"check_base64_length":          span((*mail).base64Line, atLeastUpTo),
		"check_qp_ratio":               span(func(m *mail) float64 { return m.parts2().quotedRatio() }, atLeastUpTo),
		// of the text
		"multipart_alternative_difference":       alternativeDifference,
		"multipart_alternative_difference_count": alternativeCount,
		"check_blank_line_ratio":                 blankLines,
		"tvd_vertical_words":                     verticalWords,
		"check_stock_info":                       span(stockInfo, func(v, low, _ float64) bool { return low == 0 || v >= low }),
		"check_body_length":                      span(func(m *mail) float64 { return float64(len(m.bodyText)) }, func(v, low, _ float64) bool { return v <= low }),
		"plaintext_body_length":                  span(func(m *mail) float64 { b, _, _ := m.signature(); return b }, atLeastUpTo),
		"plaintext_sig_length":                   span(func(m *mail) float64 { _, s, _ := m.signature(); return s }, atLeastUpTo),
		"plaintext_body_sig_ratio":               span(func(m *mail) float64 { _, _, r := m.signature(); return r }, atLeastUpTo),
		// of the way
		"check_for_numeric_helo": yes(numericHELO),
		"check_for_illegal_ip":   yes(func(*mail) bool { return false }),
		"check_all_trusted": yes(func(m *mail) bool {
			l := m.relay()
			return len(l.trusted) > 0 && len(l.untrusted) == 0 && l.unparseable == 0
		}),
		"check_no_relays": yes(func(m *mail) bool {
			l := m.relay()
			return len(l.trusted) == 0 && len(l.untrusted) == 0 && l.unparseable == 0
		}),
		"check_relays_unparseable":                  yes(func(m *mail) bool { return m.relay().unparseable > 0 }),
		"check_for_sender_no_reverse":               yes(senderNoReverse),
		"check_for_from_domain_in_received_headers": fromDomainReceived,
		"check_for_forged_received_trail":           yes(func(m *mail) bool { a, _ := m.forgedTrail(); return a > 1 }),
		"check_for_forged_received_ip_helo":         yes(func(m *mail) bool { _, b := m.forgedTrail(); return b > 0 }),
		"helo_ip_mismatch":                          yes(heloMismatch),
		"check_for_no_rdns_dotcom_helo":             yes(dotcomHELO),
		// of the links
		"check_for_http_redirector":     yes(httpRedirector),
		"check_https_ip_mismatch":       yes(httpsIPMismatch),
		"check_uri_truncated":           yes(func(m *mail) bool { return m.uris().truncated }),
		"check_https_http_mismatch":     httpsMismatch,
		"check_uri_host_listed":         word(uriHostListed),
		"check_uri_host_in_blocklist":   yes(func(m *mail) bool { return uriHostListed(m, "BLOCK") }),
		"check_uri_host_in_blacklist":   yes(func(m *mail) bool { return uriHostListed(m, "BLOCK") }),
		"check_uri_host_in_welcomelist": yes(func(m *mail) bool { return uriHostListed(m, "WELCOME") }),
		"check_uri_host_in_whitelist":   yes(func(m *mail) bool { return uriHostListed(m, "WELCOME") }),
		// of lists of addresses
		"check_from_in_blocklist": yes(func(m *mail) bool { return m.listed("blocklist_from", m.fromAddresses()) }),
		"check_from_in_blacklist": yes(func(m *mail) bool { return m.listed("blocklist_from", m.fromAddresses()) }),
		"check_to_in_blocklist":   yes(func(m *mail) bool { return m.listed("blocklist_to", m.toAddresses()) }),
		"check_to_in_blacklist":   yes(func(m *mail) bool { return m.listed("blocklist_to", m.toAddresses()) }),
		"check_to_in_welcomelist": yes(func(m *mail) bool { return m.listed("welcomelist_to", m.toAddresses()) }),
		"check_to_in_whitelist":   yes(func(m *mail) bool { return m.listed("welcomelist_to", m.toAddresses()) }),
		"check_to_in_more_spam":   yes(func(m *mail) bool { return m.listed("more_spam_to", m.toAddresses()) }),
		"check_to_in_all_spam":    yes(func(m *mail) bool { return m.listed("all_spam_to", m.toAddresses()) }),
		"check_from_in_list":      word(func(m *mail, list string) bool { return m.listed(list, m.fromAddresses()) }),
		"check_to_in_list":        word(func(m *mail, list string) bool { return m.listed(list, m.toAddresses()) }),
		"check_replyto_in_list": word(func(m *mail, list string) bool {
			a := m.one("Reply-To:addr")
			return a != "" && m.listed(list, []string{a})
		}),
		"check_from_in_welcomelist":           yes(func(m *mail) bool { return m.welcome() > 0 }),
		"check_from_in_whitelist":             yes(func(m *mail) bool { return m.welcome() > 0 }),
		"check_from_in_default_welcomelist":   yes(func(m *mail) bool { return m.defaultWelcome() > 0 }),
		"check_from_in_default_whitelist":     yes(func(m *mail) bool { return m.defaultWelcome() > 0 }),
		"check_forged_in_welcomelist":         yes(func(m *mail) bool { return m.welcome() < 0 && m.defaultWelcome() == 0 }),
		"check_forged_in_whitelist":           yes(func(m *mail) bool { return m.welcome() < 0 && m.defaultWelcome() == 0 }),
		"check_forged_in_default_welcomelist": yes(func(m *mail) bool { return m.defaultWelcome() < 0 && m.welcome() == 0 }),
		"check_forged_in_default_whitelist":   yes(func(m *mail) bool { return m.defaultWelcome() < 0 && m.welcome() == 0 }),
		"check_mailfrom_matches_rcvd":         yes(senderMatchesRelay),
		"check_subject_in_welcomelist":        yes(func(m *mail) bool { return m.subjectListed("welcomelist_subject") }),
		"check_subject_in_whitelist":          yes(func(m *mail) bool { return m.subjectListed("welcomelist_subject") }),
		"check_subject_in_blocklist":          yes(func(m *mail) bool { return m.subjectListed("blocklist_subject") }),
		"check_subject_in_blacklist":          yes(func(m *mail) bool { return m.subjectListed("blocklist_subject") }),
		"have_any_bounce_relays":              yes(func(m *mail) bool { return len(m.set.addresses["welcomelist_bounce_relays"]) > 0 }),
		"check_welcomelist_bounce_relays":     yes(bounceRelays),
		"check_whitelist_bounce_relays":       yes(bounceRelays),
		// of free mail services
		"check_freemail_header":  freemailHeader,
		"check_freemail_from":    freemailFrom,
		"check_freemail_body":    freemailBody,
		"check_freemail_replyto": freemailReplyTo,
		// of images
		"image_count":         imageCount,
		"pixel_coverage":      pixelCoverage,
		"image_to_text_ratio": imageTextRatio,
		"image_size_exact":    imageSizeExact,
		"image_size_range":    imageSizeRange,
		"image_named":         word(func(m *mail, name string) bool { return m.images("all").names[name] }),
		"image_name_regex":    imageNameRegex,
	}
}

// prepareEval makes an eval rule ready.
func (s *compiled) prepareEval(ru *rule, has func(string) bool, o Config) (Status, string) {
	if ru.eval == "check_bayes" {
		if _, _, err := bounds(ru.args); err != nil {
			return Refused, err.Error()
		}
		if len(o.Bayes) == 0 {
			return Ignored, "no Bayes check to answer"
		}
		ru.late = true
		s.bayes = append(s.bayes, len(s.rules))
		return Approximate, approximate[ru.eval]
	}
	if reason, ok := s.refused[ru.eval]; ok {
		return Refused, reason
	}
	if has("net") {
		return Refused, "asks the network"
	}
	f, ok := s.functions[ru.eval]
	if !ok {
		return Refused, "unknown function " + clip(ru.eval, 60)
	}
	call, err := f(s, ru.args)
	if err != nil {
		return Refused, fmt.Sprintf("%s: %v", ru.eval, err)
	}
	ru.call = call
	if ru.points != 0 {
		s.evals = append(s.evals, len(s.rules))
	}
	if reason := approximate[ru.eval]; reason != "" {
		return Approximate, reason
	}
	return Exact, ""
}
