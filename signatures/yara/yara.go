package yara

// A Source is the text of one file of rules. Its rules have a namespace of their
// own, so that two files may use the same names.
type Source struct {
	File string // names it in problems; also the namespace
	Text string
}

// A Problem is why a source, or a rule of it, is not in the compiled set.
type Problem struct {
	File string
	Line int // 0 unknown
	Msg  string
}

// Facts are the external variables that every rule may use: filename, filepath,
// extension, filetype, content_type, sender_domain and kind. md5 and owner are
// defined, and empty, for rules written for other scanners.
type Facts struct {
	Name, Path, Extension, Type, ContentType, Sender, Kind string
}

// A Match is one rule that matched.
type Match struct {
	Rule, File string // the rule's name, and its source
	Tags       []string
	Meta       map[string]any // string, int or bool
}
