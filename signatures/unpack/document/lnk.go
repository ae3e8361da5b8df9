package document

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// linkFormat reads Windows shortcuts: what they run, with which arguments, and
// what is hung on behind. [MS-SHLLINK].
type linkFormat struct{}

func (linkFormat) Name() string { return "lnk" }

func (linkFormat) Reads(f *format.File) bool {
	return len(f.Data) >= linkHeader && string(f.Data[:20]) == linkClass
}

// linkClass is HeaderSize and LinkCLSID, [MS-SHLLINK] section 2.1.
const (
	linkClass  = "L\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"
	linkHeader = 76
)

// LinkFlags, [MS-SHLLINK] section 2.1.1.
const (
	linkHasIDList = 1 << iota
	linkHasInfo
	linkHasName
	linkHasPath
	linkHasWorkingDir
	linkHasArguments
	linkHasIcon
	linkIsUnicode
)

// A shortcut is what is known of a link.
type shortcut struct {
	target    string
	arguments string
	icon      string
	behind    []byte // what follows the last block
}

func (linkFormat) Open(j *format.Job, f *format.File) error {
	s, err := readShortcut(f.Data)
	command := strings.TrimSpace(s.target + " " + squeeze(s.arguments))
	if command != "" {
		linkAddresses(j, f, command)
		if shortcutRuns(s.target, s.arguments) || foreignHost(s.icon) {
			j.Mark(f, format.LinkCommand, command[:min(len(command), 1000)])
		}
		if s.arguments != "" {
			text := []byte(command + "\n")
			if more := powershellText(s.arguments); more != "" {
				text = append(text, more...)
			}
			if stop := j.Emit(&format.File{Kind: format.Script, Name: "command", Data: text}); stop != nil {
				return stop
			}
		}
	}
	if len(s.behind) >= 16 {
		if stop := j.Emit(&format.File{Kind: format.Object, Name: "appended", Data: s.behind}); stop != nil {
			return stop
		}
	}
	return err
}

var errShortcut = errors.New("the shortcut breaks off")

// readShortcut reads as far as it gets. [MS-SHLLINK] sections 2.2 to 2.5.
func readShortcut(b []byte) (s shortcut, err error) {
	flags := binary.LittleEndian.Uint32(b[20:])
	at := linkHeader
	var byList, byInfo, byPath, byVariable string
	block := func() []byte {
		if len(b)-at < 2 {
			return nil
		}
		n := int(binary.LittleEndian.Uint16(b[at:]))
		if n > len(b)-at-2 {
			n = len(b) - at - 2
		}
		v := b[at+2 : at+2+n]
		at += 2 + n
		return v
	}
	if flags&linkHasIDList != 0 {
		byList = idNames(block())
	}
	if flags&linkHasInfo != 0 {
		if len(b)-at < 4 {
			s.target = byList
			return s, errShortcut
		}
		n := int64(binary.LittleEndian.Uint32(b[at:]))
		n = min(max(n, 4), int64(len(b)-at))
		byInfo = infoPath(b[at : at+int(n)])
		at += int(n)
	}
	text := func(flag uint32) string {
		if flags&flag == 0 || len(b)-at < 2 {
			return ""
		}
		n := int(binary.LittleEndian.Uint16(b[at:]))
		at += 2
		if flags&linkIsUnicode != 0 {
			n = min(2*n, (len(b)-at)&^1)
			v := decodeUTF16(b[at:at+n], false)
			at += n
			return v
		}
		n = min(n, len(b)-at)
		v := string(b[at : at+n])
		at += n
		return v
	}
	text(linkHasName)
	byPath = text(linkHasPath)
	text(linkHasWorkingDir)
	s.arguments = text(linkHasArguments)
	s.icon = text(linkHasIcon)
	// Extra data: blocks of a length and a signature, ended by a length below four.
	for range 64 {
		if len(b)-at < 4 {
			at = len(b)
			break
		}
		n := int64(binary.LittleEndian.Uint32(b[at:]))
		if n < 4 {
			at += 4
			break
		}
		if n > int64(len(b)-at) {
			err = errShortcut
			at = len(b)
			break
		}
		x := b[at : at+int(n)]
		// [MS-SHLLINK] section 2.5.4: the target with environment variables in it.
		if len(x) >= 788 && binary.LittleEndian.Uint32(x[4:]) == 0xa0000001 {
			byVariable = cmp.Or(untilZero(decodeUTF16(x[268:788], false)), untilZero(string(x[8:268])))
		}
		at += int(n)
	}
	s.behind = b[at:]
	s.target = cmp.Or(byVariable, byInfo, byPath, byList)
	// The list is what is run; what else is there may say something harmless.
	if byList != "" && !strings.Contains(strings.ToLower(s.target), strings.ToLower(lastName(byList))) {
		s.target = byList
	}
	return s, err
}

func untilZero(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

// infoPath is the path of a LinkInfo structure, [MS-SHLLINK] section 2.3.
func infoPath(b []byte) string {
	if len(b) < 28 {
		return ""
	}
	part := func(from int) string {
		at := int64(binary.LittleEndian.Uint32(b[from:]))
		if at <= 0 || at >= int64(len(b)) {
			return ""
		}
		return untilZero(string(b[at:]))
	}
	flags := binary.LittleEndian.Uint32(b[8:])
	suffix := part(24)
	if flags&1 != 0 {
		return part(16) + suffix
	}
	if at := int64(binary.LittleEndian.Uint32(b[20:])); flags&2 != 0 && at > 0 && at+20 <= int64(len(b)) {
		// CommonNetworkRelativeLink: NetNameOffset counts from its own beginning.
		net := b[at:]
		if name := int64(binary.LittleEndian.Uint32(net[8:])); name > 0 && name < int64(len(net)) {
			return strings.TrimRight(untilZero(string(net[name:])), `\`) + `\` + suffix
		}
	}
	return ""
}

// idNames joins the names in an item list. Items are a length and data whose
// meaning is the shell's own; names stand in them as text with a zero.
func idNames(b []byte) string {
	var names []string
	for len(b) >= 2 && len(names) < 64 {
		n := int(binary.LittleEndian.Uint16(b))
		if n < 3 || n > len(b) {
			break
		}
		item := b[2:n]
		b = b[n:]
		switch kind := item[0]; {
		case kind&0x70 == 0x20 && len(item) > 1: // a drive
			names = append(names, strings.TrimRight(untilZero(string(item[1:])), `\`))
		case kind&0x70 == 0x30 && len(item) > 12: // a file or directory
			name := untilZero(string(item[12:]))
			if kind&4 != 0 {
				name = untilZero(decodeUTF16(item[12:], false))
			}
			names = append(names, name)
		case kind&0x70 == 0x40 && len(item) > 3: // a place on the network
			names = append(names, untilZero(string(item[3:])))
		case kind == 0x61 && len(item) > 4: // an address
			names = append(names, untilZero(decodeUTF16(item[4:], false)))
		}
	}
	return strings.Join(names, `\`)
}

func lastName(path string) string {
	return path[strings.LastIndexAny(path, `\/`)+1:]
}

// squeeze takes out the white space with which arguments are moved out of sight.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// interpreters run what stands in their arguments, or fetch it.
var interpreters = strings.Fields(`cmd powershell powershell_ise pwsh mshta wscript cscript rundll32 regsvr32 certutil bitsadmin msiexec
	forfiles conhost pcalua msbuild installutil hh ftp bash wsl ssh curl wget node python python3 pythonw wmic schtasks reg regasm regsvcs
	odbcconf cmstp control ieexec syncappvpublishingserver scriptrunner finger mavinject desktopimgdownldr xwizard nslookup autoit3 javaw java`)

// shortcutRuns says whether a target with its arguments runs an interpreter or something
// that lies elsewhere. A shortcut to a document or to a program does not.
func shortcutRuns(target, arguments string) bool {
	lower := strings.ToLower(target)
	name := strings.TrimSuffix(strings.Trim(lastName(lower), `" `), ".exe")
	for _, x := range interpreters {
		if name == x {
			// A console or a settings panel without orders does nothing.
			return strings.TrimSpace(arguments) != ""
		}
	}
	if strings.Contains(lower, "://") && !strings.HasPrefix(lower, "file:///") || foreignHost(target) {
		return true
	}
	args := strings.ToLower(arguments)
	for _, x := range []string{"powershell", "mshta", "wscript", "cscript", "rundll32", "regsvr32", "cmd /", "cmd.exe", "curl ", "certutil", "bitsadmin", "msiexec", "javascript:", "vbscript:"} {
		if strings.Contains(args, x) {
			return true
		}
	}
	// The explorer opens what it is given; a browser with an address is a bookmark.
	return name == "explorer" && (strings.Contains(args, "://") || foreignHost(strings.Trim(args, `", /`)))
}

// foreignHost says whether a path leads to a machine outside of the own network: a
// name with a dot or an address, or by WebDAV.
func foreignHost(path string) bool {
	path = strings.ReplaceAll(strings.Trim(path, `" `), "/", `\`)
	path = strings.TrimPrefix(path, `\\?\UNC`)
	host, ok := strings.CutPrefix(path, `\\`)
	if !ok {
		return false
	}
	host, _, _ = strings.Cut(host, `\`)
	return strings.ContainsAny(host, ".@:")
}

// linkAddresses notes the addresses of the web in a text.
func linkAddresses(j *format.Job, f *format.File, text string) {
	lower := strings.ToLower(text)
	for at := 0; ; {
		i := strings.Index(lower[at:], "http")
		if i < 0 || len(lower) != len(text) {
			return
		}
		at += i
		rest := text[at:]
		if l := strings.ToLower(rest[:min(8, len(rest))]); !strings.HasPrefix(l, "http://") && !strings.HasPrefix(l, "https://") {
			at += 4
			continue
		}
		if k := strings.IndexAny(rest, " \t\r\n\"'<>`|;,()[]{}^&"); k >= 0 {
			rest = rest[:k]
		}
		j.Link(f, rest)
		at += len(rest)
	}
}

// powershellText is what follows -EncodedCommand, decoded; "" if nothing does.
func powershellText(arguments string) string {
	words := strings.Fields(arguments)
	for i, w := range words {
		flag := strings.ToLower(strings.TrimLeft(w, "-/"))
		if i+1 < len(words) && len(flag) > 0 && len(flag) < len(w) && (flag == "ec" || strings.HasPrefix("encodedcommand", flag)) {
			data := unbase64([]byte(strings.Trim(words[i+1], `"'`)))
			if len(data) >= 8 && bytes.IndexByte(data[:8], 0) == 1 {
				return decodeUTF16(data, false)
			}
		}
	}
	return ""
}
