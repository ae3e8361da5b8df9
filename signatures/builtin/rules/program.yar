// Programs, what packs them, and where they hide.

private rule Windows_Program
{
    condition:
        uint16(0) == 0x5A4D and uint32(0x3C) < 0x10000 and uint32(uint32(0x3C)) == 0x00004550
}

rule Program_Under_False_Name
{
    meta:
        description = "A program for Windows whose name says that it is a document or a picture"
    condition:
        Windows_Program and
        filename matches /\.(pdf|docx?|docm|xlsx?|xlsm|pptx?|rtf|odt|txt|csv|xml|html?|jpe?g|png|gif|bmp|tiff?|mp3|mp4|wav|avi|eml|ics|vcf)[. ]*$/i
}

rule Program_Double_Extension
{
    meta:
        description = "A program for Windows whose name pretends to be a document or a picture before its real ending"
    condition:
        Windows_Program and
        filename matches /\.(pdf|docx?|xlsx?|pptx?|rtf|txt|csv|html?|jpe?g|png|gif|bmp|mp3|mp4|zip|rar)[ ._-]*\.(exe|scr|com|pif|cpl|bat|cmd)$/i
}

rule Program_Name_Turned
{
    meta:
        description = "A program for Windows whose name is displayed from right to left"
    condition:
        Windows_Program and filename matches /\xE2\x80[\xAB\xAE]|\xE2\x81\xA7/
}

rule Script_Double_Extension : suspicious
{
    meta:
        description = "A script or shortcut whose name pretends to be a document or a picture before its real ending"
        points = 6
    condition:
        kind != "mail" and
        filename matches /\.(pdf|docx?|xlsx?|pptx?|rtf|txt|csv|jpe?g|png|gif|bmp|mp3|mp4)[ ._-]*\.(js|jse|vbs|vbe|wsf|wsh|hta|lnk|bat|cmd|ps1|scr|exe|com|pif|cpl|jar|url)$/i
}

rule Name_With_Gap : suspicious
{
    meta:
        description = "The real ending of a file's name stands behind many blanks"
        points = 6
    condition:
        kind != "mail" and filename matches /[ \t_]{12,}\.(exe|scr|com|pif|cpl|bat|cmd|js|jse|vbs|vbe|wsf|hta|lnk|ps1|jar|html?)$/i
}

rule Picture_With_Program
{
    meta:
        description = "A program for Windows behind the beginning of a picture"
    strings:
        $stub = "This program cannot be run in DOS mode"
        $mz = { 4D 5A 90 00 03 00 00 00 }
    condition:
        (uint32be(0) == 0x89504E47 or uint32be(0) == 0x47494638 or uint32be(0) & 0xFFFFFF00 == 0xFFD8FF00 or uint16be(0) == 0x424D and uint32(6) == 0) and
        $stub and $mz
}

rule Note_With_Program
{
    meta:
        description = "A OneNote section with a program for Windows in it"
    strings:
        $file = { E7 16 E3 BD 65 26 11 45 A4 C4 8D 4D 0B 7A 9E AC [20] 4D 5A }
    condition:
        uint32be(0) == 0xE4525C7B and $file
}

rule Note_With_Script : suspicious
{
    meta:
        description = "A OneNote section with a script or an HTML application in it"
        points = 6
    strings:
        $file = { E7 16 E3 BD 65 26 11 45 A4 C4 8D 4D 0B 7A 9E AC }
        $a = "<hta:application" nocase
        $b = /<script[^>]{0,80}(vbscript|jscript|javascript)/ nocase
        $c = "WScript.Shell" nocase
        $d = "@echo off" nocase
        $e = "powershell" nocase
    condition:
        uint32be(0) == 0xE4525C7B and $file and any of ($a, $b, $c, $d, $e)
}

rule Link_Runs_Interpreter
{
    meta:
        description = "A shortcut starts an interpreter with something hidden, encoded or from the network"
    strings:
        $shell1 = "powershell" nocase ascii wide
        $shell2 = "mshta" nocase ascii wide
        $shell3 = "cmd.exe" nocase ascii wide
        $shell4 = "wscript" nocase ascii wide
        $shell5 = "rundll32" nocase ascii wide
        $a = "http://" nocase ascii wide
        $b = "https://" nocase ascii wide
        $c = /[-\/]e(nc|ncodedcommand)?[ \t]+[A-Za-z0-9+\/]{40}/ nocase wide
        $d = /[-\/]w(in|indowstyle)?[ \t]+h/ nocase wide
        $e = "FromBase64String" nocase ascii wide
        $f = "\\DavWWWRoot\\" nocase ascii wide
    condition:
        uint32be(0) == 0x4C000000 and uint32be(4) == 0x01140200 and filesize < 4MB and any of ($shell*) and any of ($a, $b, $c, $d, $e, $f)
}

rule Loader_With_Program
{
    meta:
        description = "A .NET program loads another program that it holds as text in base64"
    strings:
        $net = "_CorExeMain"
        $net2 = "_CorDllMain"
        $decode = "FromBase64String"
        $load = "Load" fullword
        $invoke = "Invoke" fullword
        $a = "TVqQAAMAAAAEAAAA" wide
        $b = "TVpQAAIAAAAEAA8A" wide
        $c = "AAAAEAAAAMAAQqVT" wide
    condition:
        Windows_Program and ($net or $net2) and $decode and $load and $invoke and any of ($a, $b, $c)
}

rule Packed_By_UPX : suspicious
{
    meta:
        description = "A program for Windows packed by UPX"
        points = 2
    strings:
        $a = "UPX0\x00\x00\x00\x00"
        $b = "UPX1\x00\x00\x00\x00"
    condition:
        Windows_Program and $a in (0..2048) and $b in (0..2048)
}

rule Packed_By_Rarer_Packer : suspicious
{
    meta:
        description = "A program for Windows packed by one of the packers that hide programs"
        points = 4
    strings:
        $a = ".MPRESS1"
        $b = ".aspack\x00"
        $c = ".themida"
        $d = ".vmp0\x00"
        $e = ".enigma1"
        $f = ".petite\x00"
        $g = "pebundle"
        $h = ".nsp0\x00"
        $i = ".yP\x00\x00\x00\x00\x00"
    condition:
        Windows_Program and for any of them : ($ in (0..2048))
}

rule Program_From_AutoIt : suspicious
{
    meta:
        description = "A compiled AutoIt script"
        points = 5
    strings:
        $script = { A3 48 4B BE 98 6C 4A A9 99 4C 53 0A 86 D6 48 7D }
        $mark = "AU3!EA06"
        $text = "This is a third-party compiled AutoIt script"
    condition:
        $script at 0 or Windows_Program and ($script and $mark or $text and $mark)
}

rule Program_From_NSIS : suspicious
{
    meta:
        description = "An installer made with NSIS, as droppers often are"
        points = 2
    strings:
        $a = { EF BE AD DE 4E 75 6C 6C 73 6F 66 74 49 6E 73 74 }
    condition:
        Windows_Program and $a
}

rule Archive_That_Runs : suspicious
{
    meta:
        description = "A self-extracting archive that starts something without asking"
        points = 5
    strings:
        $rar = "SFX script commands"
        $setup = /\n(Setup|Presetup)=/ nocase
        $silent = /\nSilent=[12]/ nocase
        $seven = ";!@Install@!UTF-8!"
        $run = /\n(RunProgram|ExecuteFile)=/ nocase
        $quiet = /\nGUIMode="[12]"/ nocase
    condition:
        Windows_Program and ($rar and $setup and $silent or $seven and $run and $quiet)
}

rule Program_As_Excel_Addin : suspicious
{
    meta:
        description = "A library that Excel runs as an add-in"
        points = 5
    strings:
        $a = "xlAutoOpen" fullword
    condition:
        Windows_Program and $a
}

rule Program_For_Linux_Packed : suspicious
{
    meta:
        description = "A packed program for Linux"
        points = 5
    strings:
        $a = "UPX!"
    condition:
        uint32be(0) == 0x7F454C46 and $a
}

rule Java_Archive : suspicious
{
    meta:
        description = "A Java program"
        points = 3
    strings:
        $a = "META-INF/MANIFEST.MF"
        $b = ".class"
    condition:
        uint32be(0) == 0x504B0304 and $a and $b
}

rule Android_Program : suspicious
{
    meta:
        description = "A program for Android"
        points = 4
    strings:
        $a = "AndroidManifest.xml"
        $b = "classes.dex"
    condition:
        uint32be(0) == 0x504B0304 and $a and $b
}
