package message

// An Attachment is a leaf part that is not the text a reader is shown.
type Attachment struct {
	Name      string // "" if the part has none
	Declared  string // media type by Content-Type
	ByName    string // media type by the name's extension, "" unknown
	Detected  string // media type by the first bytes, "" unknown
	Extension string // of Name, lower case, without dot
	Size      int    // bytes, decoded
	Part      *Part
}

func findAttachments(m *Message) []Attachment { return nil }
