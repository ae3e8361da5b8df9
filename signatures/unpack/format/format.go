// Package format turns one file into the files inside it: it declares what a
// File is, what a Format does, and the Job that bounds the work on one message.
// The formats themselves are in the packages beside it.
package format

import (
	"strings"

	"spamcatcher/engine/message"
)

// A Kind says what a File is to the one it was found in.
type Kind string

const (
	Mail   Kind = "mail"   // a whole message, as it came
	Part   Kind = "part"   // a part of a message, decoded
	Member Kind = "member" // a file in an archive, or what a compressed file expands to
	Stream Kind = "stream" // a piece of a document in its own encoding
	Object Kind = "object" // a file embedded in a document
	Macro  Kind = "macro"  // the source text of a document's macros
	Script Kind = "script" // the source text of a script
)

// A File is a part of a message or something found inside one. Name and Data are
// hostile. Data must not be changed, and not be kept when Emit has returned.
type File struct {
	Name     string // as its container calls it, separators and all; "" for none
	Declared string // media type that the mail or the container declares, lower case; "" for none
	Type     string // media type by content, "" unknown; Emit sets it
	Kind     Kind
	Data     []byte
	Parent   *File // what it was found in, nil for parts of the message
	Depth    int   // 0 for parts of the message; Emit sets it
	Cut      bool  // Data is only the beginning, because of a limit or of damage
	Unlocked bool  // it was encrypted, and a password from the message opened it

	digest uint64 // of Data, set by Visit
}

// Path is the names from the part of the message down to f, separated by "/".
func (f *File) Path() string {
	if f.Parent == nil {
		return f.Name
	}
	return f.Parent.Path() + "/" + f.Name
}

// Extension is what follows the last dot of the name, in lower case; "" for none.
func (f *File) Extension() string {
	base := f.Name[strings.LastIndexAny(f.Name, `/\`)+1:]
	if i := strings.LastIndexByte(base, '.'); i >= 0 {
		return strings.ToLower(strings.TrimSpace(base[i+1:]))
	}
	return ""
}

// A Format reads one kind of file. It must be safe for any number of goroutines.
// It never trusts a number from the file before it is compared with what is held,
// and takes time and memory linear in what the Job allows.
type Format interface {
	// Name is one lower-case word.
	Name() string
	// Reads says whether f is of this format, by its content, never by its name.
	// It looks at Type and at a bounded number of bytes.
	Reads(f *File) bool
	// Open emits what is inside f, and marks what is remarkable. When the Job says
	// ErrStop it returns that at once. Another error means that the file is damaged:
	// what was emitted before counts.
	Open(j *Job, f *File) error
}

// An Overrunner is a Format whose decoder may work on for long without asking the
// Job.
type Overrunner interface{ MayOverrun() bool }

// A Mark is something remarkable that was found while unpacking.
type Mark struct {
	Kind   string // one of the constants of this package
	Detail string // what it was; hostile
	Path   string // where
}

// The kinds of marks. Once released a kind never changes its meaning.
const (
	// Limits of the Job that were reached: not everything was looked at.
	LimitDepth   = "limit_depth"   // containers nested deeper than allowed
	LimitMembers = "limit_members" // more files than allowed
	LimitRatio   = "limit_ratio"   // a file expands beyond all proportion
	LimitBytes   = "limit_bytes"   // more bytes than allowed, of one file or of all
	LimitTime    = "limit_time"    // more time than allowed
	// LimitPictures is for pictures that were not searched for codes.
	LimitPictures = "limit_pictures"

	// Archives.
	Encrypted  = "encrypted"  // a member that no password at hand opens
	Unlocked   = "unlocked"   // a member that a password from the message opened; Detail is the password
	Damaged    = "damaged"    // a container that breaks off or contradicts itself
	Ambiguous  = "ambiguous"  // readers disagree about what is in a container
	Unreadable = "unreadable" // a container that nothing here reads; Detail is its type

	// Office documents.
	MacroFound    = "macro"          // has macros; Detail is a module's name
	MacroAutorun  = "macro_autorun"  // macros that run when the document is opened
	MacroDownload = "macro_download" // macros that fetch something
	MacroExecute  = "macro_execute"  // macros that start programs
	MacroHidden   = "macro_hidden"   // macros that hide what they do: concatenated characters, stomped source
	MacroSheet    = "macro_sheet"    // Excel 4.0 macro sheets
	DDE           = "dde"            // a field that runs a command (DDE)
	External      = "external"       // a template or object fetched from elsewhere; Detail is the address
	EmbeddedFile  = "embedded_file"  // a packaged file inside a document; Detail is its name
	OfficeLocked  = "office_locked"  // an encrypted Office document
	RTFObject     = "rtf_object"     // an object in RTF
	RTFExploit    = "rtf_exploit"    // an object of the kind that only exploits write (Equation editor, broken control words)

	// Other documents.
	PDFScript     = "pdf_script"     // JavaScript
	PDFAction     = "pdf_action"     // runs or opens something by itself (Launch, OpenAction with script, GoToR, SubmitForm)
	PDFEmbedded   = "pdf_embedded"   // an embedded file; Detail is its name
	PDFLocked     = "pdf_locked"     // encrypted so that it asks for a password
	HTMLSmuggling = "html_smuggling" // a page that puts a file together out of its own text and saves it
	NoteObject    = "note_object"    // a file embedded in OneNote; Detail is its name
	LinkCommand   = "link_command"   // a shortcut that runs an interpreter or fetches something; Detail is the command
	Code          = "code"           // a QR code; Detail is its text
)

// Detect tells the media type of content by its first bytes, "" unknown.
func Detect(b []byte) string { return message.Detect(b) }
