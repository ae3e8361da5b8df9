// The source text of macros, as the unpacker takes it out of documents.

private rule Starts_By_Itself
{
    strings:
        $a = "AutoOpen" fullword nocase
        $b = "Auto_Open" fullword nocase
        $c = "AutoExec" fullword nocase
        $d = "AutoClose" fullword nocase
        $e = "Auto_Close" fullword nocase
        $f = "AutoNew" fullword nocase
        $g = "Document_Open" fullword nocase
        $h = "Document_New" fullword nocase
        $i = "Document_Close" fullword nocase
        $j = "Workbook_Open" fullword nocase
        $k = "Workbook_Activate" fullword nocase
        $l = "Workbook_BeforeClose" fullword nocase
        $m = "_Layout" nocase
        $n = "_MouseMove" nocase
    condition:
        kind == "macro" and any of them
}

private rule Runs_Programs
{
    strings:
        $a = "WScript.Shell" nocase
        $b = "Shell.Application" nocase
        $c = "ShellExecute" nocase
        $d = "CreateProcess" nocase
        $e = "Win32_Process" nocase
        $f = /\bShell[ \t]*[( ][ \t]*["a-z]/ nocase
        $g = "WinExec" fullword nocase
    condition:
        kind == "macro" and any of them
}

private rule Fetches
{
    strings:
        $a = "URLDownloadToFile" nocase
        $b = "XMLHTTP" nocase
        $c = "WinHttpRequest" nocase
        $d = "Net.WebClient" nocase
        $e = "DownloadFile" nocase
        $f = "DownloadString" nocase
        $g = "InternetOpenUrl" nocase
        $h = "bitsadmin" nocase
        $i = "-urlcache" nocase
    condition:
        kind == "macro" and any of them
}

rule Macro_Downloads_And_Runs
{
    meta:
        description = "A macro that runs when the document is opened saves a program from the network and starts it"
    strings:
        $url = "URLDownloadToFile" nocase
        $stream = "ADODB.Stream" nocase
        $save = "SaveToFile" nocase
        $program = /\.(exe|scr|dll|com|pif|hta|jse?|vb[se]|wsf|bat|cmd|ps1)["']/ nocase
    condition:
        Starts_By_Itself and Runs_Programs and Fetches and ($url or $stream and $save) and $program
}

rule Macro_Hidden_PowerShell
{
    meta:
        description = "A macro that runs when the document is opened starts PowerShell with a hidden or fetched command"
    strings:
        $shell = "powershell" nocase
        $a1 = "-enc " nocase
        $a2 = "-ec " nocase
        $a3 = "-e JAB" nocase
        $a4 = "-e SQB" nocase
        $a5 = "-EncodedCommand" nocase
        $a6 = "/enc " nocase
        $b = "FromBase64String" nocase
        $c = "DownloadString" nocase
        $d = "DownloadFile" nocase
        $e1 = "-w hid" nocase
        $e2 = "-w 1 " nocase
        $e3 = "-win hid" nocase
        $e4 = "-windowstyle hid" nocase
        $e5 = "-windowstyle 1" nocase
        $f = "Invoke-WebRequest" nocase
    condition:
        Starts_By_Itself and Runs_Programs and $shell and any of ($a*, $b, $c, $d, $e*, $f)
}

rule Macro_Machine_Code
{
    meta:
        description = "A macro that runs when the document is opened writes machine code to memory and starts a thread in it"
    strings:
        $declare = /\bDeclare[ \t]+(PtrSafe[ \t]+)?(Function|Sub)\b/ nocase
        $a = "VirtualAlloc" nocase
        $b = "RtlMoveMemory" nocase
        $c = "WriteProcessMemory" nocase
        $d = "CreateThread" fullword nocase
        $e = "CreateRemoteThread" fullword nocase
        $f = "QueueUserAPC" nocase
        $g = "SetThreadContext" nocase
    condition:
        Starts_By_Itself and $declare and $a and ($b or $c) and any of ($d, $e, $f, $g)
}

rule Macro_System_Tool_From_Network
{
    meta:
        description = "A macro that runs when the document is opened has a system tool load code from the network"
    strings:
        $a = /mshta(\.exe)?[ "']{1,4}https?:/ nocase
        $b = /regsvr32(\.exe)?[^\r\n]{0,80}\/i:["']?https?:/ nocase
        $c = /certutil(\.exe)?[^\r\n]{0,80}-urlcache[^\r\n]{0,80}https?:/ nocase
        $d = /bitsadmin(\.exe)?[^\r\n]{0,80}\/transfer[^\r\n]{0,120}https?:/ nocase
    condition:
        Starts_By_Itself and Runs_Programs and any of ($a, $b, $c, $d)
}

rule Macro_Runs_At_Once : suspicious
{
    meta:
        description = "A macro that runs when the document is opened can start programs"
        points = 3
    condition:
        Starts_By_Itself and Runs_Programs
}

rule Macro_Fetches_At_Once : suspicious
{
    meta:
        description = "A macro that runs when the document is opened fetches something"
        points = 3
    condition:
        Starts_By_Itself and Fetches
}

rule Macro_Spelt_In_Numbers : suspicious
{
    meta:
        description = "A macro puts its text together from character codes"
        points = 3
    strings:
        $chr = /\bChrW?\$?[ \t]*\([ \t]*[0-9&(]/ nocase
    condition:
        kind == "macro" and #chr > 30
}

rule Macro_Text_Backwards : suspicious
{
    meta:
        description = "A macro holds the name of a program or of a protocol backwards"
        points = 5
    strings:
        $turn = "StrReverse" nocase
        $a = "llehsrewop" nocase
        $b = "llehS.tpircSW" nocase
        $c = "//:ptth" nocase
        $d = "//:sptth" nocase
        $e = "exe.dmc" nocase
    condition:
        kind == "macro" and $turn and any of ($a, $b, $c, $d, $e)
}

rule Macro_Weakens_Office : suspicious
{
    meta:
        description = "A macro changes the settings that keep macros from running"
        points = 5
    strings:
        $write = /\b(RegWrite|reg(\.exe)?[ \t]+add|SetDWORDValue)\b/ nocase
        $a = "VBAWarnings" nocase
        $b = "AccessVBOM" nocase
        $c = "DisableInternetFilesInPV" nocase
    condition:
        kind == "macro" and $write and any of ($a, $b, $c)
}

rule Macro_Process_By_WMI : suspicious
{
    meta:
        description = "A macro that runs when the document is opened has WMI start a program"
        points = 5
    strings:
        $a = "winmgmts:" nocase
        $b = "Win32_Process" nocase
        $c = /\.\s*Create\b/ nocase
    condition:
        Starts_By_Itself and all of ($a, $b, $c)
}

rule Sheet_Calls_Library
{
    meta:
        description = "An Excel 4.0 macro fetches a file through a system library"
    strings:
        $a = /=?\b(CALL|REGISTER)\(/ nocase
        $b = "URLDownloadToFile" nocase
        $c = "urlmon" nocase
    condition:
        kind == "macro" and all of them
}

rule Sheet_Runs_Interpreter
{
    meta:
        description = "An Excel 4.0 macro starts a script interpreter or a loader of libraries"
    strings:
        $a = /\bEXEC\([^\r\n]{0,80}(mshta|powershell|regsvr32|rundll32|wmic|cscript|wscript|certutil|bitsadmin)/ nocase
    condition:
        kind == "macro" and $a
}
