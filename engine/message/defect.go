package message

// The kinds of defects. Once released a kind never changes its meaning.
const (
	// A header line that is neither a field nor a continuation.
	HeaderNoColon = "header_no_colon"
	// A field whose name holds characters that RFC 5322 section 2.2 forbids.
	HeaderBadName = "header_bad_name"
	// White space between a field's name and its colon.
	HeaderSpaceColon = "header_space_colon"
	// The block begins with a continuation line.
	HeaderLeadingFold = "header_leading_fold"
	// A line of white space only inside a header block.
	HeaderBlankFold = "header_blank_fold"
	// An mbox "From " line in front of the header.
	HeaderFromLine = "header_from_line"
	// NUL in a header block.
	HeaderNUL = "header_nul"
	// CR without LF in a header block.
	HeaderBareCR = "header_bare_cr"
	// Bytes over 127 in a header block.
	Header8Bit = "header_8bit"
	// A field that may stand only once occurs again (RFC 5322 section 3.6,
	// RFC 2045 section 3).
	HeaderDuplicate = "header_duplicate"
	// A header line over 998 bytes.
	HeaderTooLong = "header_too_long"
	// A header block that is not ended by an empty line.
	HeaderMissingEnd = "header_missing_end"
	// The message begins with an empty line: it has no header.
	HeaderEmpty = "header_empty"

	// LF without CR in a message that also has CRLF.
	LineBareLF = "line_bare_lf"
	// CR without LF in a body.
	LineBareCR = "line_bare_cr"
	// A body line over 998 bytes.
	LineTooLong = "line_too_long"
	// NUL in a body.
	LineNUL = "line_nul"

	// A multipart without boundary parameter.
	BoundaryMissing = "boundary_missing"
	// A multipart with an empty boundary.
	BoundaryEmpty = "boundary_empty"
	// A boundary that never occurs in the body.
	BoundaryUnused = "boundary_unused"
	// More than one boundary parameter, and they differ.
	BoundaryDuplicate = "boundary_duplicate"
	// A multipart without its closing delimiter.
	BoundaryUnclosed = "boundary_unclosed"
	// A multipart inside another that has the same boundary.
	BoundaryNestedSame = "boundary_nested_same"
	// A line that begins with an open boundary and goes on.
	BoundaryPrefix = "boundary_prefix"
	// A boundary over 70 characters (RFC 2046 section 5.1.1).
	BoundaryTooLong = "boundary_too_long"
	// A delimiter behind the closing one.
	BoundaryAfterClose = "boundary_after_close"
	// A multipart without a part.
	MultipartEmpty = "multipart_empty"
	// Content between a multipart's header and its first delimiter.
	PreambleContent = "preamble_content"
	// Content behind a closing delimiter.
	EpilogueContent = "epilogue_content"

	// A transfer encoding that nobody knows.
	EncodingUnknown = "encoding_unknown"
	// Several transfer encodings for one part.
	EncodingConflict = "encoding_conflict"
	// A transfer encoding that is spelt wrongly.
	EncodingBad = "encoding_bad"
	// A multipart or message with base64 or quoted-printable, which RFC 2045
	// section 6.4 forbids.
	EncodingOnMultipart = "encoding_on_multipart"
	// A part without declared encoding whose body is base64.
	Base64Undeclared = "base64_undeclared"
	// Characters outside the base64 alphabet.
	Base64Junk = "base64_junk"
	// Padding that is missing or wrong.
	Base64Padding = "base64_padding"
	// Data behind base64 padding.
	Base64AfterPadding = "base64_after_padding"
	// "=" in quoted-printable without two hexadecimal digits.
	QPBad = "qp_bad"
	// A uuencoded file inside text.
	UuencodeInline = "uuencode_inline"
	// A yEnc file inside text.
	YencInline = "yenc_inline"

	// A charset that nobody knows.
	CharsetUnknown = "charset_unknown"
	// Text that its declared charset cannot have produced.
	CharsetBad = "charset_bad"
	// UTF-7, which no mail program writes any more and filters overlook.
	CharsetUTF7 = "charset_utf7"
	// An encoded word that RFC 2047 forbids or that cannot be decoded.
	WordBad = "word_bad"

	// A parameter that RFC 2045 section 5.1 forbids.
	ParamBad = "param_bad"
	// A parameter that occurs twice with different values.
	ParamDuplicate = "param_duplicate"
	// RFC 2231 continuations that are not contiguous, or too many.
	ParamContinuation = "param_continuation"
	// A media type that is not type/subtype.
	TypeBad = "type_bad"
	// Several Content-Type fields that differ.
	TypeConflict = "type_conflict"
	// MIME fields without MIME-Version.
	VersionMissing = "version_missing"

	// message/partial: only a piece of a message.
	Partial = "partial"
	// message/external-body: the content is elsewhere.
	ExternalBody = "external_body"

	// HTML that nests or breaks beyond what browsers write.
	HTMLMalformed = "html_malformed"

	// Parts nested deeper than Limits.Depth.
	LimitDepth = "limit_depth"
	// More parts than Limits.Parts.
	LimitParts = "limit_parts"
	// A header block beyond Limits.HeaderBytes or Limits.Fields.
	LimitHeader = "limit_header"
	// More text than Limits.TextBytes.
	LimitText = "limit_text"
	// More links than Limits.Links.
	LimitLinks = "limit_links"
	// More readings than Limits.Readings, or than linear time allows.
	LimitReadings = "limit_readings"

	// Readers of mail disagree about what this message contains.
	Ambiguous = "ambiguous"
)

// A Defect is one kind of damage found in a message.
type Defect struct {
	Kind   string // one of the constants of this package
	Detail string // what was found first; it comes from the mail
	Count  int
}

// defects counts kinds in the order in which they were first found.
type defects struct{ all []Defect }

const maxDetail = 120 // bytes of mail quoted in a Detail

func (d *defects) add(kind, detail string) {
	d.addN(kind, detail, 1)
}

func (d *defects) addN(kind, detail string, n int) {
	for i := range d.all {
		if d.all[i].Kind == kind {
			d.all[i].Count += n
			return
		}
	}
	if len(detail) > maxDetail {
		detail = detail[:maxDetail]
	}
	d.all = append(d.all, Defect{kind, detail, n})
}

func (d *defects) merge(o *defects) {
	for _, f := range o.all {
		d.addN(f.Kind, f.Detail, f.Count)
	}
}

func (d *defects) list() []Defect { return d.all[:len(d.all):len(d.all)] }

func (d *defects) count(kind string) int {
	for i := range d.all {
		if d.all[i].Kind == kind {
			return d.all[i].Count
		}
	}
	return 0
}
