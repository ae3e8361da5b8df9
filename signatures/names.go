package signatures

import (
	"slices"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// Extensions under which Windows runs a file, and those that readers take for a
// document or a picture.
var (
	programs  = []string{"exe", "scr", "com", "pif", "cpl", "dll", "msi", "msix", "appx", "sys", "ocx", "xll", "jar", "application", "gadget"}
	scripts   = []string{"js", "jse", "vbs", "vbe", "wsf", "wsh", "hta", "bat", "cmd", "ps1", "psm1", "sct", "msc", "reg", "inf", "chm"}
	shortcuts = []string{"lnk", "url", "website", "scf", "library-ms", "search-ms", "settingcontent-ms", "appref-ms"}
	harmless  = []string{"pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "rtf", "txt", "csv", "jpg", "jpeg", "png", "gif", "tif", "tiff", "bmp", "htm", "html", "xml", "mp3", "mp4", "odt", "ods", "zip", "rar", "7z", "eml"}
)

// diskImages are types of content that Windows mounts with a click.
var diskImages = []string{"application/x-iso9660-image", "application/x-vhd", "application/x-wim", "application/x-fat-image", "application/x-udf-image"}

// isProgram says whether content is one that a processor or Windows runs.
func isProgram(f *format.File) bool {
	switch f.Type {
	case "application/x-dosexec", "application/x-msdownload", "application/vnd.microsoft.portable-executable", "application/x-elf", "application/x-mach-binary":
		return true
	}
	return false
}

// findings are the symbols for what a file is and how it is called. Names of
// attachments themselves are the rules' matter.
func (w *work) findings(f *format.File) {
	if f.Parent == nil || f.Kind != format.Member && f.Kind != format.Object {
		return
	}
	name := strings.ToLower(strings.TrimRight(f.Name[strings.LastIndexAny(f.Name, `/\`)+1:], " .\x00"))
	pieces := strings.Split(name, ".")
	last := strings.TrimSpace(pieces[len(pieces)-1])
	runs := f.Type == "application/x-ms-shortcut" || slices.Contains(programs, last) || slices.Contains(scripts, last) || slices.Contains(shortcuts, last)
	dangerous := isProgram(f) || runs
	switch {
	case strings.ContainsRune(name, '\u202e'):
		w.hit(turnedName, f)
	case isProgram(f) && slices.Contains(harmless, last):
		w.hit(falseName, f)
	case runs && len(pieces) > 2 && slices.Contains(harmless, strings.TrimSpace(pieces[len(pieces)-2])):
		w.hit(doubleName, f)
	}
	if dangerous && slices.Contains(diskImages, f.Parent.Type) {
		w.hit(imageProgram, f)
	}
	if f.Kind != format.Member {
		return
	}
	switch {
	case isProgram(f) || slices.Contains(programs, last) && last != "com" && last != "jar" && last != "dll":
		w.hit(archiveProgram, f)
	case f.Type == "application/x-ms-shortcut" || slices.Contains(shortcuts, last):
		w.hit(archiveShortcut, f)
	case slices.Contains(scripts, last):
		w.mu.Lock()
		w.script, w.scripts = f.Path(), w.scripts+1
		w.mu.Unlock()
	}
	w.mu.Lock()
	w.members++
	w.mu.Unlock()
}
