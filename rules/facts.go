package rules

import (
	"sort"
)

// A Fact computes one number from a mail, for conditions that a pattern
// cannot state. ok is false when the number does not exist for this mail (no
// Date field, no HTML part, …); a rule over an absent fact never holds. A Fact
// is a pure function of the mail, takes time linear in its size and reads no
// clock but Session.Time.
type Fact func(*evidence) (value float64, ok bool)

// lookupFact finds a fact by its name in the table.
func lookupFact(name string) (Fact, bool) {
	f, ok := facts[name]
	return f, ok
}

// factNames lists the names of all facts in alphabetical order.
func factNames() []string {
	names := make([]string, 0, len(facts))
	for n := range facts {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// facts is the table of every fact that a rule may name. Once released a
// fact never changes its meaning. Facts that say yes or no are 1 or 0.
var facts = map[string]Fact{
	"words_broken_share": brokenWords,   // share of the words of 4 letters or more with . - _ * ~ | between letters; from 8 words on
	"words_leet_share":   leetWords,     // share of the words of 4 letters or more with digits for letters; from 8 words on
	"word_length":        wordLength,    // mean length of the words that are letters alone; from 32 on
	"words_single_share": singleLetters, // share of them that are one letter

	"message_bytes": messageBytes, // bytes of the whole message

	"date_hours_ahead":   dateHoursAhead,    // hours by which Date is later than the arrival (Session.Time, else the top Received date)
	"date_hours_behind":  dateHoursBehind,   // hours by which Date is earlier than the arrival
	"date_unparsable":    dateUnparsable,    // 1 when there is a Date that cannot be read
	"date_zone_odd":      dateZoneOdd,       // 1 when Date's zone is none on earth
	"date_weekday_wrong": dateWeekdayWrong,  // 1 when the day of the week is not that of the date
	"received_count":     receivedCount,     // number of Received fields
	"received_undated":   receivedUndated,   // number of Received fields without a date that can be read
	"received_backwards": receivedBackwards, // largest number of hours by which an older hop is later than the next
	"received_hours":     receivedHours,     // hours from the oldest hop to the newest
	"mua_outdated_years": muaOutdated,       // years between the last release of the mail program named and this mail

	"from_count":                 fromAddresses,           // addresses in From
	"from_name_other_address":    fromNameOtherAddress,    // 1 when the display name shows an address of another domain
	"from_name_other_host":       fromNameOtherHost,       // 1 when the display name shows a host of another domain
	"from_name_recipient_domain": fromNameRecipientDomain, // 1 when the display name shows the recipient's domain, the address another
	"from_name_brand_foreign":    fromNameBrand,           // 1 when the display name wears a brand whose domain the sender is not of
	"from_name_symbols":          fromNameSymbols,         // symbols such as stars and emoji in the display name
	"from_free":                  fromFree,                // 1 when From is a free mailbox
	"from_8bit":                  from8bit,                // 1 when From has bytes above 0x7F
	"from_needless_encoding":     fromNeedlessEncoding,    // 1 when From is in base64 though it is ASCII
	"from_local_random":          fromLocalRandom,         // how random the local part looks, 0 = not at all
	"from_local_digits":          fromLocalDigits,         // digits in the local part
	"from_domain_random":         fromDomainRandom,        // how random the registered domain's label looks
	"from_domain_digits":         fromDomainDigits,        // digits in the registered domain's label
	"from_domain_labels":         fromDomainLabels,        // labels of the sender's domain
	"from_free_unsigned":         freeMailUnsigned,        // 1 when From is of a provider that signs all its mail and its signature is missing
	"from_brand_unsigned":        brandUnsigned,           // 1 when From is of a company that signs all its mail and its signature is missing
	"unsigned_today":             unsignedToday,           // 1 when the mail is of 2018 or later and has no DKIM-Signature
	"from_recipient_org":         fromRecipientOrg,        // 1 when From is of a recipient's registered domain
	"dkim_of_from":               signedByFrom,            // 1 when a DKIM-Signature (unverified) is of From's domain
	"reply_to_differs":           replyToDiffers,          // 1 when Reply-To is of another domain than From
	"reply_to_free":              replyToFree,             // 1 when Reply-To is a free mailbox and not From
	"reply_to_free_both":         replyToFreeBoth,         // 1 when From and Reply-To are two different free mailboxes
	"reply_to_lookalike":         replyToLookalike,        // 1 when Reply-To has nearly From's local part at another domain

	"envelope_differs":        envelopeDiffers,       // 1 when the reverse path is of another domain than From
	"envelope_recipients":     envelopeRecipients,    // recipients of the envelope
	"ptr_holds_address":       ptrHoldsAddress,       // 1 when the client's host name spells its address
	"hello_other_address":     helloOtherAddress,     // 1 when the client greeted with an address that is not its own
	"hello_recipient_domain":  helloRecipientDomain,  // 1 when the client greeted with the recipient's domain
	"recipients":              recipientCount,        // addresses in To and Cc
	"to_equals_from":          toEqualsFrom,          // 1 when the first To is the first From
	"to_undisclosed":          toUndisclosed,         // 1 when there is a To without any address
	"to_name_is_address":      toNameIsAddress,       // 1 when To's display name repeats its address or local part
	"recipient_in_subject":    recipientInSubject,    // 1 when the subject holds a recipient's address
	"recipient_in_text":       recipientInText,       // how often the text holds a recipient's address
	"recipient_domain_named":  recipientDomainNamed,  // how often subject, text and sender's name hold a recipient's domain as a word of its own
	"recipient_local_greeted": recipientLocalGreeted, // 1 when the greeting holds a recipient's local part that is no name

	"message_id_foreign":        messageIDForeign,       // 1 when the Message-ID is of a domain that neither From, hops nor signatures know
	"message_id_malformed":      messageIDMalformed,     // 1 when the Message-ID is not <left@right>
	"message_id_unknown_suffix": messageIDUnknownSuffix, // 1 when the Message-ID's domain ends in no top-level domain
	"message_id_free_foreign":   messageIDFree,          // 1 when the Message-ID is of a free mail domain that From is not of

	"subject_length":            subjectLength,           // characters of the subject
	"subject_upper_ratio":       subjectUpper,            // share of capitals among 10 or more cased letters
	"subject_8bit":              subject8bit,             // 1 when the subject has bytes above 0x7F
	"subject_needless_encoding": subjectNeedlessEncoding, // 1 when the subject is in base64 though it is ASCII
	"subject_gap":               subjectGap,              // longest run of white space in the subject
	"subject_symbols":           subjectSymbols,          // symbols such as stars and emoji in the subject
	"subject_reply_to_nothing":  subjectRepliesToNothing, // 1 when the subject says Re: and no field says to what
	"subject_is_name":           subjectIsName,           // 1 when the subject is the sender's name

	"text_words":          textWords,         // words of visible text, the subject not counted
	"text_upper_ratio":    textUpper,         // share of capitals among 100 or more cased letters
	"text_exclamations":   exclamations,      // exclamation marks for each 100 words
	"text_longest_word":   longestWord,       // letters and digits of the longest word
	"zero_width_chars":    zeroWidth,         // invisible characters between ASCII letters
	"bidi_overrides":      bidiOverrides,     // characters that override the direction of writing
	"mixed_script_words":  mixedScript,       // words that mix Latin with Cyrillic or Greek letters
	"mixed_script_header": mixedScriptHeader, // the same in subject and display name
	"styled_letters":      styledLetters,     // letters of mathematical, enclosed and full-width alphabets
	"charset_unused":      charsetUnused,     // 1 when a charset of one script is declared and the text has no letter of it
	"source_8bit":         source8bit,        // 1 when the text parts hold characters beyond ASCII
	"base64_of_ascii":     base64Ascii,       // 1 when a text part of pure ASCII is in base64

	"html_only":               htmlOnly,                // 1 when there is HTML and no plain text
	"html_text_ratio":         htmlTextRatio,           // visible characters for each character of HTML source
	"html_malformed":          htmlMalformed,           // places where the HTML is broken
	"html_comments":           htmlComments,            // comments in the HTML
	"html_entity_letters":     entityAscii,             // numeric references that stand for ASCII letters and digits
	"hidden_chars":            hiddenChars,             // characters a reader does not see, comments left out
	"hidden_ratio":            hiddenRatio,             // their share of all text of the HTML, from 50 characters on
	"hidden_same_colour":      hiddenBy("same_colour"), // bytes of text in the colour of its background
	"hidden_tiny":             hiddenBy("tiny_font"),   // bytes of text in a font too small to see
	"hidden_runs":             hiddenRuns,              // separate stretches of hidden text
	"hidden_crumbs":           hiddenCrumbs,            // hidden stretches of one to three characters
	"images":                  htmlImages,              // pictures in the HTML
	"image_only":              imageOnly,               // 1 when there is a picture and fewer than 20 words
	"image_link_only":         oneBigImageLink,         // 1 when one to three pictures, one target and fewer than 30 words are all
	"alternative_overlap":     alternativeOverlap,      // share of the plain alternative's words that the HTML has too
	"alternative_plain_empty": alternativePlainEmpty,   // 1 when the plain alternative is blank

	"links":                   anyLinks,                  // different clickable addresses
	"link_hosts":              linkHosts,                 // registered domains of clickable links
	"link_foreign_share":      linkForeignShare,          // share of clickable addresses outside From's domain
	"link_deceptive":          countLinks(linkDeceptive), // clickable addresses whose text shows another host
	"link_ip":                 countLinks(linkPublicIP),  // clickable addresses by public IP
	"link_punycode":           countLinks(linkPunycode),  // clickable addresses with xn-- labels
	"link_user_info":          countLinks(linkUserInfo),  // clickable addresses with user@ before the host
	"link_free_host":          countLinks(linkFree),      // clickable addresses on page builders and free hosting
	"link_shortener":          countLinks(linkShort),     // clickable addresses of shorteners
	"link_brand_foreign":      countLinks(linkBrand),     // clickable hosts that show a brand below somebody else's domain
	"link_redirect":           countLinks(linkRedirect),  // clickable addresses that hold another
	"link_port":               countLinks(linkPort),      // clickable addresses with an unusual port
	"link_one_target":         linkOneTarget,             // 1 when three or more anchors all lead to one address
	"link_text_share":         linkAllText,               // share of the visible words that stand in anchors
	"link_longest":            linkLongest,               // length of the longest clickable address
	"link_labels":             linkLabels,                // most labels in a clickable host name
	"link_random_host":        linkRandomHost,            // how random a clickable registered domain looks
	"link_recipient":          linkRecipient,             // clickable addresses that carry a recipient's address, plain or in base64
	"link_recipient_fragment": linkRecipientFragment,     // the same behind a #

	"parts":                           parts,                                 // MIME parts, containers included, alternative readings not
	"alternate_parts":                 alternateParts,                        // parts on which mail readers disagree
	"defects":                         defects,                               // kinds of defects found while parsing
	"alternative_single":              multipartSingle,                       // 1 when a multipart/alternative has one part only
	"attachments":                     attachments,                           // attachments
	"attachment_only":                 attachmentOnly,                        // 1 when there are attachments and fewer than 5 words
	"attachment_recipient_name":       attachmentRecipientName,               // 1 when a file name holds a recipient's address
	"attachment_executable":           countAttachments(executableName),      // attachments that run, by name
	"attachment_executable_content":   countAttachments(executableContent),   // attachments that run, by content
	"attachment_executable_disguised": countAttachments(executableDisguised), // programs under another kind's name
	"attachment_double_extension":     countAttachments(doubleExtension),     // names like report.pdf.exe
	"attachment_padded_name":          countAttachments(paddedName),          // names with a long gap
	"attachment_turned_name":          countAttachments(turnedName),          // names with bidirectional controls
	"attachment_macro":                countAttachments(macroDocument),       // documents of the kinds that carry macros
	"attachment_archive":              countAttachments(archiveName),         // archives, by name
	"attachment_disk_image":           countAttachments(diskImage),           // disk images, by name
	"attachment_html":                 countAttachments(htmlName),            // HTML and SVG pages as attachments
	"attachment_mismatch":             countAttachments(attachmentMismatch),  // attachments whose content is another kind of thing than the name says

	"list_consistent": listConsistent, // 1 when List-Id and the other List fields are of one domain
	"unsubscribe_own": unsubscribeOwn, // 1 when List-Unsubscribe is of From's domain
}

func messageBytes(m *evidence) (float64, bool) { return float64(len(m.Message.Raw())), true }
