package message

import "strings"

// An Attachment is a leaf part that is not the text a reader is shown, or an
// enclosed message. A part with several file names is listed once for each.
type Attachment struct {
	Name      string // "" if the part has none
	Declared  string // media type by Content-Type
	ByName    string // media type by the name's extension, "" unknown
	Detected  string // media type by the first bytes, "" unknown
	Extension string // of Name, lower case, without dot
	Size      int    // bytes, decoded
	Part      *Part
}

func findAttachments(m *Message) (all []Attachment) {
	for _, p := range m.parts {
		if p.reading.aside || p.reading.opaque && p.Name == "" {
			continue
		}
		if !p.leaf() {
			if !isMessageType(p.MediaType) {
				continue
			}
			all = append(all, attachment(p, p.Name, "message/rfc822", p.end-p.start))
			continue
		}
		shown := p.MediaType == "text/plain" || p.MediaType == "text/html" || p.MediaType == "text/enriched" || p.MediaType == "text/richtext"
		if shown && p.Name == "" && p.Disposition != "attachment" {
			continue
		}
		data := p.Decoded()
		kind := Detect(data)
		all = append(all, attachment(p, p.Name, kind, len(data)))
		for _, name := range p.names {
			all = append(all, attachment(p, name, kind, len(data)))
		}
	}
	return all
}

func attachment(p *Part, name, kind string, size int) Attachment {
	ext := extension(name)
	return Attachment{Name: name, Declared: p.MediaType, ByName: typesByName[ext], Detected: kind, Extension: ext, Size: size, Part: p}
}

// extension is what follows the last dot of a file name, as systems see it:
// trailing dots and spaces do not count, nor what stands behind NUL.
func extension(name string) string {
	if i := strings.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	name = strings.TrimRight(name, ". \t\r\n\"'")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	i := strings.LastIndexByte(name, '.')
	if i < 0 || len(name)-i > 16 {
		return ""
	}
	return strings.ToLower(name[i+1:])
}

// typesByName gives the media type of a file name's extension.
var typesByName = map[string]string{
	"txt": "text/plain", "log": "text/plain", "md": "text/plain", "csv": "text/csv", "htm": "text/html", "html": "text/html", "shtml": "text/html",
	"xhtml": "application/xhtml+xml", "mht": "message/rfc822", "mhtml": "message/rfc822", "xml": "text/xml", "css": "text/css",
	"ics": "text/calendar", "vcs": "text/calendar", "vcf": "text/vcard", "eml": "message/rfc822", "msg": "application/vnd.ms-outlook",
	"pdf": "application/pdf", "rtf": "application/rtf", "ps": "application/postscript", "svg": "image/svg+xml", "png": "image/png",
	"jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "bmp": "image/bmp", "tif": "image/tiff", "tiff": "image/tiff",
	"webp": "image/webp", "ico": "image/x-icon", "emf": "image/emf", "wmf": "image/wmf", "heic": "image/heic",
	"doc": "application/msword", "dot": "application/msword", "xls": "application/vnd.ms-excel", "xlt": "application/vnd.ms-excel",
	"xla": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint", "pps": "application/vnd.ms-powerpoint",
	"docx": typeDocx, "docm": typeDocx, "dotm": typeDocx, "dotx": typeDocx, "xlsx": typeXlsx, "xlsm": typeXlsx, "xlsb": typeXlsx,
	"xltm": typeXlsx, "xlam": typeXlsx, "pptx": typePptx, "pptm": typePptx, "ppsm": typePptx, "ppsx": typePptx,
	"odt": "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet",
	"odp": "application/vnd.oasis.opendocument.presentation", "one": typeOneNote, "pub": "application/x-mspublisher",
	"zip": "application/zip", "rar": "application/vnd.rar", "7z": "application/x-7z-compressed", "gz": "application/gzip", "tgz": "application/gzip",
	"bz2": "application/x-bzip2", "xz": "application/x-xz", "zst": "application/zstd", "tar": "application/x-tar", "cab": "application/vnd.ms-cab-compressed",
	"arj": "application/x-arj", "lzh": "application/x-lzh", "lha": "application/x-lzh", "ace": "application/x-ace", "z": "application/x-compress",
	"iso": typeISO, "img": typeISO, "udf": typeISO, "vhd": "application/x-vhd", "vhdx": "application/x-vhd", "dmg": "application/x-apple-diskimage",
	"wim": "application/x-wim", "exe": typeExe, "dll": typeExe, "scr": typeExe, "com": typeExe, "pif": typeExe, "cpl": typeExe, "sys": typeExe,
	"ocx": typeExe, "msi": "application/x-msi", "msix": "application/x-msi", "appx": "application/x-msi", "jar": "application/java-archive",
	"apk": "application/vnd.android.package-archive", "class": "application/java-vm", "elf": "application/x-elf", "so": "application/x-elf",
	"bat": typeScript, "cmd": typeScript, "ps1": typeScript, "vbs": typeScript, "vbe": typeScript, "js": typeScript, "jse": typeScript,
	"mjs": typeScript, "wsf": typeScript, "wsh": typeScript, "sct": typeScript, "hta": typeScript, "sh": typeScript, "py": typeScript,
	"pl": typeScript, "php": typeScript, "reg": typeScript, "inf": typeScript, "lnk": typeLink, "url": "application/x-url", "website": "application/x-url",
	"desktop": "application/x-desktop", "chm": "application/vnd.ms-htmlhelp", "xll": typeExe, "swf": "application/x-shockwave-flash",
	"mp3": "audio/mpeg", "wav": "audio/wav", "mp4": "video/mp4", "avi": "video/x-msvideo", "mov": "video/quicktime", "asc": "application/pgp",
	"pgp": "application/pgp", "gpg": "application/pgp", "sig": "application/pgp-signature", "p7s": "application/pkcs7-signature",
	"p7m": "application/pkcs7-mime", "dat": "application/ms-tnef", "epub": "application/epub+zip", "rdp": "application/x-rdp",
	"settingcontent-ms": "application/x-settingcontent", "iqy": "application/x-iqy", "slk": "application/x-slk", "library-ms": "application/x-library",
	"patch": "text/x-diff", "diff": "text/x-diff", "json": "application/json",
}

const (
	typeDocx    = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	typeXlsx    = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	typePptx    = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	typeOneNote = "application/onenote"
	typeISO     = "application/x-iso9660-image"
	typeExe     = "application/x-msdownload"
	typeScript  = "text/x-script"
	typeLink    = "application/x-ms-shortcut"
)
