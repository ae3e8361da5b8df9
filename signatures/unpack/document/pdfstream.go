package document

import (
	"errors"

	"spamcatcher/signatures/unpack/format"
)

// stopOnly drops the errors of a damaged stream, which are common in good
// documents too, and keeps the end of the job.
func stopOnly(err error) error {
	if errors.Is(err, format.ErrStop) {
		return err
	}
	return nil
}

// stream hands on what a stream holds, if that is worth a look: files always,
// pictures that may be codes, and what a page is written with.
func (p *pdf) stream(o pdfObject) error {
	dict := p.load(o)
	kind, subtype := dict.get("Type").name(), p.resolve(dict.get("Subtype")).name()
	name, isFile := p.files[o.num]
	switch {
	case isFile || kind == "EmbeddedFile":
		return p.embedded(o, &dict, name)
	case kind == "ObjStm" || kind == "XRef" || kind == "Metadata":
		return nil
	case subtype == "Image" || dict.get("Width") != nil && dict.get("Height") != nil:
		return p.picture(o, &dict)
	case dict.get("Length1") != nil || subtype == "Type1C" || subtype == "CIDFontType0C" || subtype == "OpenType":
		return nil // a font
	case dict.get("N") != nil && dict.get("Alternate") != nil || dict.get("FunctionType") != nil || dict.get("ShadingType") != nil:
		return nil // a colour profile, a function, a shading
	}
	if o.to-o.from > pdfPage || p.emitted >= pdfContent {
		p.j.Mark(p.f, format.LimitBytes, "streams of a PDF")
		return nil
	}
	data, image, err := p.unpacked(o, &dict)
	defer p.j.Done(data)
	if image != "" || len(data) == 0 {
		return stopOnly(err)
	}
	p.emitted += len(data)
	if t := format.Detect(data); t != "" && t != "text/xml" {
		return p.j.Emit(&format.File{Kind: format.Stream, Type: t, Data: data, Cut: err != nil, Unlocked: p.opened})
	}
	if err := stopOnly(err); err != nil {
		return err
	}
	if err := p.vector(data); err != nil {
		return err
	}
	// Small streams are handed on together: each costs as much as a large one.
	if len(p.content) > 0 && len(p.content)+len(data) > 1<<20 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.content = append(append(p.content, data...), '\n')
	return nil
}

// flush hands on the plain streams that were gathered.
func (p *pdf) flush() error {
	if len(p.content) == 0 {
		return nil
	}
	data := p.content
	p.content = nil
	return p.j.Emit(&format.File{Kind: format.Stream, Name: "content", Data: data, Unlocked: p.opened})
}

// embedded hands on an embedded file.
func (p *pdf) embedded(o pdfObject, dict *pdfValue, name string) error {
	p.j.Mark(p.f, format.PDFEmbedded, name)
	raw := p.raw(o, dict)
	r, _, known := p.decode(dict, raw)
	f := &format.File{Kind: format.Object, Name: name, Declared: p.resolve(dict.get("Subtype")).name(), Unlocked: p.opened}
	if !known {
		f.Data, f.Cut = raw, true
		return p.j.Emit(f)
	}
	data, cut, err := p.j.Read(r, int64(len(raw)))
	defer p.j.Done(data)
	if err := stopOnly(err); err != nil {
		return err
	}
	f.Data, f.Cut = data, cut
	if len(data) == 0 && len(raw) > 0 {
		f.Data = raw
	}
	return p.j.Emit(f)
}
