// Pages that come as attachments: forms that take passwords, and what hides them.

private rule Attached_Page
{
    strings:
        $a = /<(html|body|head|script|form|svg|meta|!doctype)\b/ nocase
    condition:
        filesize < 8MB and $a and
        (kind == "member" or kind == "object" or kind == "part" and (filename != "" and content_type != "message/rfc822" or content_type == "image/svg+xml"))
}

rule Page_Password_To_Telegram
{
    meta:
        description = "An attached page that sends a password to a Telegram robot"
    strings:
        $a = /type[ \t]*=[ \t]*["']?password/ nocase
        $b = /api\.telegram\.org\/bot/ nocase
        $c = "sendMessage" nocase
    condition:
        Attached_Page and all of ($a, $b, $c)
}

rule Page_Asks_For_Password : suspicious
{
    meta:
        description = "An attached page that asks for a password and sends it to a web server"
        points = 5
    strings:
        $password = /<input[^>]{0,300}type[ \t]*=[ \t]*["']?password/ nocase
        $form = /<form[^>]{0,400}action[ \t]*=[ \t]*["']?https?:/ nocase
        $ajax1 = /url[ \t]*:[ \t]*["']https?:/ nocase
        $ajax2 = /fetch\([ \t]*["']https?:/ nocase
        $ajax3 = /\.open\([ \t]*["']post["'][ \t]*,[ \t]*["']https?:/ nocase
    condition:
        Attached_Page and $password and any of ($form, $ajax*)
}

rule Page_Knows_Its_Reader : suspicious
{
    meta:
        description = "An attached page that asks for a password has an address filled in already"
        points = 4
    strings:
        $password = /<input[^>]{0,300}type[ \t]*=[ \t]*["']?password/ nocase
        $a = /<input[^>]{0,300}value[ \t]*=[ \t]*["'][a-z0-9._+-]{1,64}@[a-z0-9.-]{3,120}["']/ nocase
        $b = /(var|let|const)[ \t]+[a-z_$][a-z0-9_$]{0,40}[ \t]*=[ \t]*["'][a-z0-9._+-]{1,64}@[a-z0-9.-]{3,120}["']/ nocase
    condition:
        Attached_Page and $password and ($a or $b)
}

rule Page_Written_From_Base64 : suspicious
{
    meta:
        description = "An attached page that writes itself from base64"
        points = 5
    strings:
        $decode = /\batob[ \t]*\(/ nocase
        $write1 = /document[ \t]*\.[ \t]*write(ln)?[ \t]*\(/ nocase
        $write2 = /\.(inner|outer)HTML[ \t]*=/ nocase
        $write3 = /\beval[ \t]*\(/ nocase
        $write4 = /\.(location|href)[ \t]*=/ nocase
        $blob = /\batob[ \t]*\([ \t]*["'`][A-Za-z0-9+\/]{200}/
        // How base64 of a page, a script or an address begins.
        $text1 = "PCFET0NUWVBF"
        $text2 = "PCFkb2N0eXBl"
        $text3 = "PGh0bWw"
        $text4 = "PHNjcmlwd"
        $text5 = "PGhlYWQ"
        $text6 = "PGJvZHk"
        $text7 = "PGZvcm0"
        $text8 = "PG1ldGE"
        $text9 = "PHN0eWxl"
        $text10 = "aHR0cHM6Ly"
        $text11 = "aHR0cDovL"
        $text12 = "ZG9jdW1lbn"
        $text13 = "d2luZG93Lm"
        $text14 = "bG9jYXRpb24"
    condition:
        Attached_Page and $decode and any of ($write*) and ($blob or any of ($text*))
}

rule Page_Written_From_Escapes : suspicious
{
    meta:
        description = "An attached page that writes itself from long rows of escapes"
        points = 5
    strings:
        $a = /\b(unescape|decodeURIComponent)\([ \t]*["'](%[0-9a-f]{2}){60}/ nocase
        $b = /["'](\\x[0-9a-f]{2}){100}/ nocase
        $c = /fromCharCode\(([ \t]*(0x)?[0-9a-f]{2,4}[ \t]*,){40}/ nocase
        $d = /["'](\\u00[0-9a-f]{2}){100}/ nocase
    condition:
        Attached_Page and any of ($a, $b, $c, $d)
}

rule Page_Saves_A_File : suspicious
{
    meta:
        description = "An attached page that puts a file together and has the browser save it"
        points = 6
    strings:
        $blob = /new[ \t]+(Blob|File)[ \t]*\(/ nocase
        $decode1 = /\batob[ \t]*\(/ nocase
        $decode2 = "Uint8Array" nocase
        $save1 = "createObjectURL" nocase
        $save2 = "msSaveOrOpenBlob" nocase
        $save3 = "msSaveBlob" nocase
        $click1 = /\.click[ \t]*\(/ nocase
        $click2 = /\.download[ \t]*=/ nocase
    condition:
        Attached_Page and $blob and any of ($decode*) and any of ($save*) and (any of ($click*) or $save2 or $save3)
}

rule Picture_With_Script : suspicious
{
    meta:
        description = "A vector picture with a script that decodes something or leads elsewhere"
        points = 5
    strings:
        $svg = "<svg" nocase
        $html = "<html" nocase
        $script = "<script" nocase
        $a = /\batob[ \t]*\(/ nocase
        $b = /\beval[ \t]*\(/ nocase
        $c = /\blocation(\.href)?[ \t]*=/ nocase
        $d = /\blocation\.(replace|assign)[ \t]*\(/ nocase
        $e = "charCodeAt" nocase
    condition:
        Attached_Page and $svg and not $html and $script and any of ($a, $b, $c, $d, $e)
}

rule Page_Leads_Elsewhere : suspicious
{
    meta:
        description = "A small attached page that does nothing but lead elsewhere"
        points = 3
    strings:
        $a = /<meta[^>]{0,60}http-equiv[ \t]*=[ \t]*["']?refresh[^>]{0,60}url[ \t]*=[ \t]*["']?https?:/ nocase
        $b = /\blocation(\.href)?[ \t]*=[ \t]*["'`]https?:/ nocase
        $c = /\blocation\.(replace|assign)[ \t]*\([ \t]*["'`]https?:/ nocase
    condition:
        Attached_Page and filesize < 3KB and any of ($a, $b, $c)
}

rule Page_Of_A_Known_Brand : suspicious
{
    meta:
        description = "An attached page that asks for a password under the signs of a well-known service"
        points = 4
    strings:
        $password = /<input[^>]{0,300}type[ \t]*=[ \t]*["']?password/ nocase
        $a = /(aadcdn\.msauth|logincdn\.msauth|aadcdn\.msftauth)\.net/ nocase
        $b = "login.microsoftonline.com" nocase
        $c = "logo.clearbit.com" nocase
        $d = /<title>[^<]{0,40}(outlook|office ?365|microsoft|onedrive|sharepoint|docusign|adobe|webmail|dhl|fedex|paypal|netflix)[^<]{0,60}<\/title>/ nocase
    condition:
        Attached_Page and $password and any of ($a, $b, $c, $d)
}
