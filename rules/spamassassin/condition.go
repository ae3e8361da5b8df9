package spamassassin

import (
	"fmt"
	"slices"
	"strings"
)

// version is the release of SpamAssassin that files are read for.
const version = 4.000001

// defaultPlugins are the plugins that count as loaded when no file says which
// are: those that a fresh installation loads.
var defaultPlugins = qualified("URIDNSBL SPF Rule2XSBody Pyzor Razor2 SpamCop AutoLearnThreshold WelcomeListSubject MIMEHeader ReplaceTags DKIM " +
	"Check HTTPSMismatch URIDetail Bayes BodyEval DNSEval HTMLEval HeaderEval MIMEEval RelayEval URIEval WLBLEval VBounce ImageInfo FreeMail AskDNS HashBL DMARC")

func qualified(names string) []string {
	var list []string
	for _, n := range strings.Fields(names) {
		list = append(list, pluginPrefix+n)
	}
	return list
}

const pluginPrefix = "Mail::SpamAssassin::Plugin::"

// abilities are what can() and has() confirm, of Conf and of plugins.
var abilities = map[string]string{
	"Conf": "feature_originating_ip_headers feature_dns_local_ports_permit_avoid feature_bayes_auto_learn_on_error feature_uri_host_listed feature_yesno_takes_args " +
		"feature_bug6558_free feature_edns feature_dns_query_restriction feature_registryboundaries feature_geodb feature_dns_block_rule feature_compile_regexp " +
		"feature_meta_rules_matching feature_subjprefix feature_bayes_stopwords feature_get_host feature_blocklist_welcomelist feature_welcomelist_blocklist " +
		"feature_header_address_parser feature_local_tests_only feature_header_first_last feature_header_match_many feature_capture_rules " +
		"has_tflags_nosubject has_tflags_nolog perl_min_version_5010000",
	"ASN":             "has_asn_lookup_ipv6 has_asn_geodb has_check_asn has_check_asn_tag",
	"AskDNS":          "has_tag_header",
	"BodyEval":        "has_check_body_length has_plaintext_body_sig_ratio",
	"DKIM":            "has_arc",
	"DNSEval":         "has_tflags_domains_only has_tflags_ips_only",
	"DecodeShortURLs": "has_short_url has_autoclean has_short_url_code has_user_agent has_get has_clear has_timeout has_max_redirections has_short_url_redir",
	"HashBL":          "has_hashbl_bodyre has_hashbl_bodyre_num has_hashbl_emails has_hashbl_uris has_hashbl_ignore has_hashbl_email_regex has_hashbl_email_welcomelist has_hashbl_email_whitelist has_hashbl_tag has_hashbl_sha256 has_hashbl_attachments has_hashbl_email_domain has_hashbl_email_domain_alias",
	"MIMEEval":        "has_check_for_ascii_text_illegal has_check_abundant_unicode_ratio has_check_qp_ratio",
	"MIMEHeader":      "has_all_header has_tflags_range has_tflags_concat has_tflags_multiple has_capture_rules",
	"SPF":             "has_check_for_spf_errors has_check_spf_skipped_noenvfrom",
	"URIDNSBL":        "has_tflags_domains_only has_subtest_for_ranges has_uridnsbl_for_a has_uridnsbl_a_ns has_tflags_notrim has_uridnsbl_skip_mailto",
	"URIDetail":       "has_host_key",
}

// condition decides an if or ifplugin; what can't be read counts as false and
// is noted.
func (r *reader) condition(key, text string) bool {
	if key == "ifplugin" {
		text = "plugin (" + text + ")"
	}
	if answer, known := r.answers[text]; known {
		return answer
	}
	e, err := parseExpr(text)
	if err == nil {
		err = r.bindCondition(e)
	}
	if err != nil {
		r.fault("", fmt.Sprintf("if: %v", err))
		return false
	}
	answer := e.ready().eval(nil) != 0
	r.answers[text] = answer
	return answer
}

// bindCondition puts the values of names into an expression.
func (r *reader) bindCondition(e *expr) error {
	switch e.op {
	case "v":
		switch e.name {
		case "version":
			*e = expr{op: "n", num: version}
		case "perl_version":
			*e = expr{op: "n", num: 5.036}
		case "local_tests_only":
			*e = expr{op: "n", num: 1}
		default:
			return fmt.Errorf("unknown name %q", clip(e.name, 60))
		}
	case "f":
		name := e.args[0].name
		var holds bool
		switch e.name {
		case "plugin":
			holds = r.plugins[name] || name == pluginPrefix+"Dmarc" && r.plugins[pluginPrefix+"DMARC"] ||
				name == pluginPrefix+"WhiteListSubject" && r.plugins[pluginPrefix+"WelcomeListSubject"] || name == pluginPrefix+"RaciallyCharged"
		case "can", "has":
			holds = r.able(name)
		default:
			return fmt.Errorf("unknown function %q", clip(e.name, 60))
		}
		*e = expr{op: "n", num: truth(holds)}
	}
	for _, arg := range e.args {
		if err := r.bindCondition(arg); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) able(method string) bool {
	name, ok := strings.CutPrefix(method, "Mail::SpamAssassin::")
	if !ok {
		return false
	}
	at := strings.LastIndex(name, "::")
	if at < 0 {
		return false
	}
	module, ability := name[:at], name[at+2:]
	plugin, isPlugin := strings.CutPrefix(module, "Plugin::")
	if isPlugin {
		if !r.plugins[pluginPrefix+plugin] {
			return false
		}
		module = plugin
	} else if compat, ok := strings.CutPrefix(ability, "compat_"); ok && module == "Conf" {
		return r.compat[compat]
	}
	return slices.Contains(strings.Fields(abilities[module]), ability)
}

// elsewhereWords begin the settings that have nothing to do with which rules
// hit: reports, learning, DNS, storage.
var elsewhereWords = strings.Fields("report unsafe_report clear_report clear_unsafe_report add_header remove_header clear_headers rewrite_header " +
	"report_safe report_contact report_charset report_hostname bayes_ use_ dns_ txrep_ auto_ awl_ whitelist_auth welcomelist_auth def_whitelist_auth def_welcomelist_auth " +
	"whitelist_from_dkim welcomelist_from_dkim def_whitelist_from_dkim def_welcomelist_from_dkim whitelist_from_spf welcomelist_from_spf def_whitelist_from_spf def_welcomelist_from_spf " +
	"unwhitelist_ unwelcomelist_ adsp_override uridnsbl_ uridnsbl urirhs uridnssub urirhsbl urirhssub urinsrhs urinsrhssub urifullnsrhs urifullnsrhssub askdns dkim_ spf_ razor_ pyzor_ dcc_ asn_ textcat_ ok_languages " +
	"inactive_languages url_shortener clear_url_shortener shortcircuit fns_ hashbl_ redirector_ subjprefix regression_test time_limit lock_method fold_headers allow_user_rules user_scores_ rbl_ skip_rbl_checks " +
	"score_ num_check_received trim_ normalize_charset body_part_scan_size rawbody_part_scan_size parse_dkim_uris ignore_always_matching_regexps geodb_ resource_limit_ cpu_ mem_ " +
	"check_ freemail_add_describe_email freemail_import_ version_tag spamtrap_ default_ util_rb_ phishing_ decodeshorturl accessdb_ ps_ country_ relaycountry_ dmarc_ dns_block_rule header_ " +
	"autolearn_ admin_ timelog_ learn_ run_ sa_ spamcop_ extracttext_ olemacro_ pdfinfo_ fuzzy_ enlist_ nosubject")

func elsewhere(key string) bool {
	for _, w := range elsewhereWords {
		if key == w || (strings.HasSuffix(w, "_") || len(w) > 5) && strings.HasPrefix(key, w) {
			return true
		}
	}
	return false
}
