// Documents that use faults of the programs that read them, or start others.

rule EICAR_Test_File
{
    meta:
        description = "The test file of the European Institute for Computer Antivirus Research"
    strings:
        // The 68 characters, in hexadecimal so that no scanner takes this file for it.
        $a = { 58 35 4F 21 50 25 40 41 50 5B 34 5C 50 5A 58 35 34 28 50 5E 29 37 43 43 29 37 7D 24 45 49 43 41 52 2D 53 54 41 4E 44 41 52 44
               2D 41 4E 54 49 56 49 52 55 53 2D 54 45 53 54 2D 46 49 4C 45 21 24 48 2B 48 2A }
    condition:
        $a
}

rule Rtf_Equation_At_Once
{
    meta:
        description = "A rich text document that loads the old equation editor by itself, whose faults run code"
    strings:
        $class = "02ce020000000000c000000000000046" nocase
        $name = "4571756174696f6e2e33" nocase // Equation.3
        $update = "\\objupdate"
    condition:
        uint32be(0) == 0x7B5C7274 and $update and ($class or $name)
}

rule Rtf_With_Program
{
    meta:
        description = "A rich text document with a program for Windows in it"
    strings:
        $a = /4d5a[ \t\r\n]{0,4}9000[ \t\r\n]{0,4}0300[ \t\r\n]{0,4}0000[ \t\r\n]{0,4}0400/ nocase
        $b = /546869732070726f6772616d2063616e6e6f74/ nocase
    condition:
        uint32be(0) == 0x7B5C7274 and any of them
}

rule Rtf_Equation : suspicious
{
    meta:
        description = "A rich text document with an object of the old equation editor"
        points = 3
    strings:
        $class = "02ce020000000000c000000000000046" nocase
        $name = "4571756174696f6e2e33" nocase
    condition:
        uint32be(0) == 0x7B5C7274 and any of them
}

rule Equation_With_Command
{
    meta:
        description = "An object of the old equation editor that holds a command or an address"
    strings:
        $class = { 02 CE 02 00 00 00 00 00 C0 00 00 00 00 00 00 46 }
        $native = "Equation Native" wide
        $a = "cmd.exe" nocase
        $b = "mshta" nocase
        $c = "WinExec"
        $d = "URLDownloadToFile"
        $e = "powershell" nocase
        $f = "cmd /c" nocase
    condition:
        uint32be(0) == 0xD0CF11E0 and $class and $native and any of ($a, $b, $c, $d, $e, $f)
}

rule Document_Diagnostic_Tool
{
    meta:
        description = "A document or page that has the diagnostic tool of Windows run a command"
    strings:
        $a = "ms-msdt:" nocase ascii wide
        $b = "IT_BrowseForFile" nocase ascii wide
        $c = "IT_RebrowseForFile" nocase ascii wide
    condition:
        kind != "mail" and $a and ($b or $c)
}

rule Document_Page_From_Network
{
    meta:
        description = "A document that loads a page from the network through the old browser engine"
    strings:
        $a = /Target[ \t]*=[ \t]*["']mhtml:https?:[^"']{0,400}!x-usc:/ nocase
    condition:
        kind != "mail" and kind != "part" and $a
}

rule Table_Runs_Command
{
    meta:
        description = "A table whose formula starts a program"
    strings:
        $a = /[=+@-][ \t]{0,4}["']?(cmd|powershell|mshta|rundll32|regsvr32|msexcel)(\.exe)?["']?\|["'][^\r\n]{1,400}["']?![A-Z]{0,3}[0-9a-z]/ nocase
    condition:
        kind != "mail" and not (kind == "part" and filename == "") and $a
}

rule Document_Runs_Command : suspicious
{
    meta:
        description = "A field of a document starts a program"
        points = 6
    strings:
        $a = /\bDDE(AUTO)?[ \t"'\\\/:a-z0-9_.]{1,80}(cmd(\.exe)?|powershell(\.exe)?|mshta(\.exe)?|rundll32(\.exe)?)\b/ nocase ascii wide
    condition:
        kind != "mail" and not (kind == "part" and filename == "" and content_type startswith "text/") and $a
}
