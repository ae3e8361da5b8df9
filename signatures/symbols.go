package signatures

import (
	"spamcatcher/engine"
	"spamcatcher/signatures/unpack/format"
)

// Symbols of the check that are not marks of unpacking.
const (
	// Symbol is the finding of malware; the hit's detail names the signature.
	Symbol = "VIRUS_SIGNATURE"
	// Suspicious is a signature that does not condemn alone; its points are its own.
	Suspicious = "SIGNATURE_SUSPICIOUS"
	// Test is the message by which spam filters are tested.
	Test = "GTUBE"

	archiveProgram  = "ARCHIVE_PROGRAM"
	archiveScript   = "ARCHIVE_SCRIPT"
	archiveShortcut = "ARCHIVE_SHORTCUT"
	falseName       = "FILE_FALSE_NAME"
	doubleName      = "FILE_DOUBLE_EXTENSION"
	turnedName      = "FILE_TURNED_NAME"
	imageProgram    = "DISK_IMAGE_PROGRAM"
	codeLink        = "QR_LINK"
	incomplete      = "SIGNATURES_INCOMPLETE"
)

// A price is a symbol with its points, or a mark of unpacking that becomes one.
type price struct {
	mark        string // kind of mark, "" for none
	symbol      string
	points      float64
	description string
}

// prices lists every symbol but malware's. Points are judgement: what good mail
// has too says little, what only attackers do says much, and no limit that is
// reached says that a message is clean.
var prices = []price{
	{"", Suspicious, 1, "A signature matches that does not condemn alone"},
	{"", Test, 30, "The test message of spam filters (GTUBE)"},

	{"", archiveProgram, 3, "A program in an archive"},
	{"", archiveScript, 4, "An archive with little but a script for Windows"},
	{"", archiveShortcut, 3, "A Windows shortcut in an archive"},
	{"", imageProgram, 2, "A program, script or shortcut in a disk image"},
	{"", falseName, 4, "A program inside an archive or document under the name of something else"},
	{"", doubleName, 4, "A program inside an archive whose name has a harmless extension first"},
	{"", turnedName, 4, "A file inside an archive whose name is shown backwards"},
	{"", codeLink, 0.7, "A QR code that leads to a web page"},
	{"", incomplete, 0.5, "Time was up before all signatures were looked for"},

	{format.LimitDepth, "UNPACK_LIMIT_DEPTH", 2, "Archives nested deeper than is looked at"},
	{format.LimitMembers, "UNPACK_LIMIT_MEMBERS", 1, "More files in archives than are looked at"},
	{format.LimitRatio, "UNPACK_LIMIT_RATIO", 3, "A file that expands beyond all proportion"},
	{format.LimitBytes, "UNPACK_LIMIT_BYTES", 0.8, "More bytes in archives than are looked at"},
	{format.LimitTime, "UNPACK_LIMIT_TIME", 1, "Unpacking took longer than it may"},

	{format.LimitPictures, "UNPACK_LIMIT_PICTURES", 0.05, "Pictures in which no code was looked for"},

	{format.Encrypted, "ARCHIVE_ENCRYPTED", 0.7, "An archive that asks for a password"},
	{format.Unlocked, "ARCHIVE_PASSWORD_GIVEN", 2.5, "An encrypted archive, and the message gives the password"},
	{format.Damaged, "ARCHIVE_DAMAGED", 0.3, "A container that breaks off or contradicts itself"},
	{format.Ambiguous, "ARCHIVE_AMBIGUOUS", 2, "Readers disagree about what is in an archive"},
	{format.Unreadable, "ARCHIVE_UNREADABLE", 0.5, "A container that cannot be looked into"},

	{format.MacroFound, "DOC_MACRO", 0.4, "A document with macros"},
	{format.MacroAutorun, "DOC_MACRO_AUTORUN", 1.2, "Macros that run when the document is opened"},
	{format.MacroDownload, "DOC_MACRO_DOWNLOAD", 2.5, "Macros that fetch something"},
	{format.MacroExecute, "DOC_MACRO_EXECUTE", 2.5, "Macros that start programs"},
	{format.MacroHidden, "DOC_MACRO_HIDDEN", 2, "Macros that hide what they do"},
	{format.MacroSheet, "DOC_MACRO_SHEET", 2, "An Excel 4.0 macro sheet"},
	{format.DDE, "DOC_DDE", 4, "A document with a field that runs a command"},
	{format.External, "DOC_EXTERNAL", 2, "A document that fetches its template or an object from elsewhere"},
	{format.EmbeddedFile, "DOC_EMBEDDED_FILE", 0.5, "A file packed into a document"},
	{format.OfficeLocked, "DOC_ENCRYPTED", 0.7, "A document that asks for a password"},
	{format.RTFObject, "RTF_OBJECT", 0.7, "An object in a rich text document"},
	{format.RTFExploit, "RTF_EXPLOIT", 5, "An object of the kind that exploits use"},

	{format.PDFScript, "PDF_SCRIPT", 0.7, "A PDF with JavaScript"},
	{format.PDFAction, "PDF_ACTION", 1.5, "A PDF that runs or opens something by itself"},
	{format.PDFEmbedded, "PDF_EMBEDDED_FILE", 0.2, "A file packed into a PDF"},
	{format.PDFLocked, "PDF_ENCRYPTED", 0.5, "A PDF that asks for a password"},
	{format.HTMLSmuggling, "HTML_SMUGGLING", 5, "A page that puts a file together out of its own text"},
	{format.NoteObject, "ONENOTE_FILE", 3, "A file packed into a OneNote page"},
	{format.LinkCommand, "SHORTCUT_COMMAND", 5, "A shortcut that runs a command"},
	{format.Code, "QR_CODE", 0.1, "A picture with a QR code"},
}

// Symbols are malware's and those of prices.
func (c *Check) Symbols() []engine.Symbol {
	list := []engine.Symbol{{Name: Symbol, Description: "Contains malware that a signature names", Malware: true}}
	for _, p := range prices {
		list = append(list, engine.Symbol{Name: p.symbol, Description: p.description})
	}
	return list
}

// Prices are those of Symbols, in log-odds.
func (c *Check) Prices() map[string]float64 {
	list := make(map[string]float64, len(prices))
	for _, p := range prices {
		list[p.symbol] = p.points * engine.Point
	}
	return list
}

// symbolOf names the symbol that a kind of mark becomes, "" for none.
var symbolOf = func() map[string]string {
	m := map[string]string{}
	for _, p := range prices {
		if p.mark != "" {
			m[p.mark] = p.symbol
		}
	}
	return m
}()
