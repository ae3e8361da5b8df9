// Scripts that fetch and start programs. What people say about scripts in the text
// of a mail is no script: bodies and raw messages are left out.

private rule Apart
{
    condition:
        kind != "mail" and kind != "macro" and content_type != "message/rfc822" and
        not (kind == "part" and filename == "" and (content_type == "" or content_type startswith "text/"))
}

rule Script_Downloader : suspicious
{
    meta:
        description = "A script for Windows saves something from the network and starts it"
        points = 6
    strings:
        $make1 = "ActiveXObject" nocase
        $make2 = "CreateObject" nocase
        $net1 = "XMLHTTP" nocase
        $net2 = "WinHttpRequest" nocase
        $save1 = "ADODB.Stream" nocase
        $save2 = "SaveToFile" nocase
        $run1 = "WScript.Shell" nocase
        $run2 = "Shell.Application" nocase
        $run3 = "Win32_Process" nocase
        $go = /\.\s*(run|exec|shellexecute|create)\b/ nocase
    condition:
        Apart and filesize < 4MB and any of ($make*) and any of ($net*) and all of ($save*) and any of ($run*) and $go
}

rule Script_Hidden_PowerShell : suspicious
{
    meta:
        description = "PowerShell is started without a window to run what it fetches"
        points = 6
    strings:
        $shell = "powershell" nocase ascii wide
        $hidden1 = "-w hid" nocase ascii wide
        $hidden2 = "-w h " nocase ascii wide
        $hidden3 = "-w 1 " nocase ascii wide
        $hidden4 = "-win hid" nocase ascii wide
        $hidden5 = "-windowstyle hid" nocase ascii wide
        $hidden6 = "-windowstyle h " nocase ascii wide
        $hidden7 = "-windowstyle 1" nocase ascii wide
        $hidden8 = "/w hid" nocase ascii wide
        $fetch1 = "DownloadString" nocase ascii wide
        $fetch2 = "DownloadData" nocase ascii wide
        $fetch3 = "DownloadFile" nocase ascii wide
        $fetch4 = "Invoke-WebRequest" nocase ascii wide
        $fetch5 = "Invoke-RestMethod" nocase ascii wide
        $fetch6 = /\b(iwr|irm)[ \t("']/ nocase ascii wide
        $run1 = "IEX" fullword nocase ascii wide
        $run5 = "I`E`X" nocase ascii wide
        $run2 = "Invoke-Expression" nocase ascii wide
        $run3 = "Start-Process" nocase ascii wide
        $run4 = "Reflection.Assembly" nocase ascii wide
    condition:
        Apart and filesize < 4MB and $shell and any of ($hidden*) and any of ($fetch*) and any of ($run*)
}

rule Script_Encoded_PowerShell : suspicious
{
    meta:
        description = "PowerShell is given a command in base64"
        points = 5
    strings:
        $a = /powershell(\.exe)?["']?[ \t][^\r\n]{0,160}[-\/]e(n|nc|nco|ncod|ncode|ncoded|ncodedc[a-z]{0,6})?[ \t]+["']?[A-Za-z0-9+\/]{60}/ nocase
    condition:
        Apart and filesize < 4MB and $a
}

rule Script_Scriptlet_From_Network
{
    meta:
        description = "regsvr32 is told to run a script from the network"
    strings:
        $a = /regsvr32(\.exe)?["']?[ \t][^\r\n]{0,80}\/i:["']?https?:\/\/[^\r\n]{0,200}scrobj/ nocase ascii wide
    condition:
        Apart and filesize < 256KB and $a
}

rule Script_Program_Backwards
{
    meta:
        description = "A program for Windows is written backwards in text"
    strings:
        $a = "//8AAEAAAAAAMAAAAAQqVT" // base64 of its first bytes
        $b = "edom SOD ni nur eb tonnac margorp sihT"
        $c = "AAAAEAAAAMAAQqVT"
    condition:
        kind != "mail" and any of them
}

rule Script_Program_In_Base64 : suspicious
{
    meta:
        description = "A script or page holds a program for Windows in base64"
        points = 5
    strings:
        $a = /TV(qQAAMAAAAEAAAA|pQAAIAAAAEAA8A|oAAAAAAAAAAAAA|qAAAEAAAAEABAA|roAAAADh+6Dg)/ ascii wide
        $mail = "Content-Transfer-Encoding:" nocase
    condition:
        Apart and uint16(0) != 0x5A4D and $a and not $mail
}

rule Script_Stub_In_Base64 : suspicious
{
    meta:
        description = "A script, page or program holds the first words of a program for Windows in base64"
        points = 4
    strings:
        $a = "This program cannot be run in DOS mode" base64
        $b = "This program cannot be run in DOS mode" base64wide
        $mail = "Content-Transfer-Encoding:" nocase
    condition:
        Apart and any of ($a, $b) and not $mail
}

rule Script_Program_In_Hex : suspicious
{
    meta:
        description = "A script or page holds a program for Windows in hexadecimal"
        points = 5
    strings:
        $a = "4d5a90000300000004000000ffff" nocase
        $b = /0x4d, ?0x5a, ?0x90, ?0x00, ?0x03, ?0x00/ nocase
        $c = "4D-5A-90-00-03-00-00-00" nocase
        $d = "77,90,144,0,3,0,0,0,4,0"
        $e = "546869732070726f6772616d2063616e6e6f74206265207275" nocase
        $rtf = "{\\rt"
    condition:
        Apart and any of ($a, $b, $c, $d, $e) and not $rtf at 0
}

rule Program_Under_Xor
{
    meta:
        description = "A program for Windows, hidden by a one-byte exclusive or"
    strings:
        $a = "This program cannot be run in DOS mode" xor(0x01-0xff)
    condition:
        kind != "mail" and $a
}

rule Script_Fetches_With_PowerShell : suspicious
{
    meta:
        description = "PowerShell runs what it fetches"
        points = 4
    strings:
        $a = /\b(iex|invoke-expression)\b[^\r\n]{0,100}(downloadstring|net\.webclient|invoke-webrequest|invoke-restmethod|\biwr\b|\birm\b)/ nocase ascii wide
        $b = /(downloadstring|invoke-webrequest|invoke-restmethod|\biwr\b|\birm\b)[^\r\n]{0,200}\|[ \t]*(iex|invoke-expression)\b/ nocase ascii wide
    condition:
        Apart and any of them
}

rule Script_Page_As_Program : suspicious
{
    meta:
        description = "mshta is told to run a page from the network or a script in its arguments"
        points = 6
    strings:
        $a = /mshta(\.exe)?["']?[ \t]+["']?(https?:|vbscript:|javascript:)/ nocase ascii wide
    condition:
        Apart and $a
}

rule Script_Certutil_Download : suspicious
{
    meta:
        description = "certutil is used to fetch a file"
        points = 6
    strings:
        $a = /certutil(\.exe)?["']?[ \t][^\r\n]{0,80}[-\/](urlcache|verifyctl)[^\r\n]{0,80}https?:/ nocase ascii wide
    condition:
        Apart and $a
}

rule Script_Bitsadmin_Download : suspicious
{
    meta:
        description = "bitsadmin is used to fetch a file"
        points = 5
    strings:
        $a = /bitsadmin(\.exe)?["']?[ \t][^\r\n]{0,80}\/(transfer|addfile)[^\r\n]{0,120}https?:/ nocase ascii wide
    condition:
        Apart and $a
}

rule Script_Rundll32_JavaScript : suspicious
{
    meta:
        description = "rundll32 is told to run JavaScript"
        points = 6
    strings:
        $a = /rundll32(\.exe)?["']?[ \t]+["']?javascript:/ nocase ascii wide
        $b = "RunHTMLApplication" nocase ascii wide
    condition:
        Apart and any of them
}

rule Script_Names_In_Pieces : suspicious
{
    meta:
        description = "A script puts the names of system objects together from pieces"
        points = 5
    strings:
        $a1 = /"WS(c|cr|cri|crip|cript|cript\.|cript\.S|cript\.Sh|cript\.She)?" ?[+&] ?"[a-z.]{1,12}/ nocase
        $a2 = /'WS(c|cr|cri|crip|cript|cript\.|cript\.S|cript\.Sh|cript\.She)?' ?[+&] ?'[a-z.]{1,12}/ nocase
        $b1 = /"ADO(D|DB|DB\.|DB\.S|DB\.St|DB\.Str)?" ?[+&] ?"[DB.Ster]/ nocase
        $b2 = /'ADO(D|DB|DB\.|DB\.S|DB\.St|DB\.Str)?' ?[+&] ?'[DB.Ster]/ nocase
        $c1 = /"MSX(M|ML|ML2|ML2\.|ML2\.X|ML2\.XM|ML2\.XML)?" ?[+&] ?"[ML2.XH]/ nocase
        $c2 = /'MSX(M|ML|ML2|ML2\.|ML2\.X|ML2\.XM|ML2\.XML)?' ?[+&] ?'[ML2.XH]/ nocase
        $d1 = /"pow(e|er|ers|ersh|ershe)?" ?[+&] ?"[ershl]/ nocase
        $d2 = /'pow(e|er|ers|ersh|ershe)?' ?[+&] ?'[ershl]/ nocase
    condition:
        Apart and filesize < 4MB and any of them
}

rule Script_Objects_And_Codes : suspicious
{
    meta:
        description = "A script for Windows is spelt in character codes"
        points = 4
    strings:
        $host1 = "ActiveXObject" nocase
        $host2 = "WScript" fullword nocase
        $host3 = "CreateObject" nocase
        $js = /fromCharCode\(([ \t]*(0x)?[0-9a-f]{2,4}[ \t]*,){20}/ nocase
        $vb = /\bchrw?\([ \t]*[0-9&(]/ nocase
    condition:
        Apart and filesize < 4MB and any of ($host*) and ($js or #vb > 40)
}

rule Script_Copies_Itself : suspicious
{
    meta:
        description = "A script for Windows makes itself start with every log-in"
        points = 5
    strings:
        $self1 = "WScript.ScriptFullName" nocase
        $self2 = "%~f0"
        $self3 = "$MyInvocation" nocase
        $run1 = "CurrentVersion\\Run" nocase
        $run2 = "CurrentVersion\\\\Run" nocase
        $run3 = "SpecialFolders(\"Startup\")" nocase
        $run4 = "schtasks" nocase
        $do = /\b(RegWrite|CopyFile|copy|Copy-Item|reg(\.exe)?[ \t]+add|schtasks(\.exe)?[ \t]+\/create|Set-ItemProperty|New-ItemProperty)\b/ nocase
    condition:
        Apart and filesize < 4MB and any of ($self*) and any of ($run*) and $do
}

rule Application_Page_Runs : suspicious
{
    meta:
        description = "An HTML application can start programs"
        points = 5
    strings:
        $hta = "<hta:application" nocase
        $vbs = /<script[^>]{0,80}vbscript/ nocase
        $run1 = "WScript.Shell" nocase
        $run2 = "Shell.Application" nocase
        $run3 = "ActiveXObject" nocase
        $run4 = "Win32_Process" nocase
    condition:
        kind != "mail" and ($hta or $vbs) and any of ($run*)
}

rule Batch_Downloads : suspicious
{
    meta:
        description = "A batch file fetches something and starts it"
        points = 4
    strings:
        $batch = /^[ \t]*@echo[ \t]+off/ nocase
        $batch2 = /\n[ \t]*@echo[ \t]+off/ nocase
        $fetch = /\b(curl(\.exe)?[ \t][^\r\n]{0,80}https?:|powershell[^\r\n]{0,120}https?:|wget(\.exe)?[ \t][^\r\n]{0,80}https?:)/ nocase
        $start = /\n[ \t]*(start|call|rundll32|regsvr32|cmd|wscript|cscript|mshta|powershell)\b/ nocase
    condition:
        Apart and filesize < 1MB and any of ($batch*) and $fetch and $start
}

rule Script_Turns_Defender_Off : suspicious
{
    meta:
        description = "A script switches the virus scanner of Windows off, or parts of it"
        points = 6
    strings:
        $a = /(Set|Add)-MpPreference[ \t][^\r\n]{0,80}-(DisableRealtimeMonitoring|ExclusionPath|ExclusionProcess|ExclusionExtension|DisableIOAVProtection)/ nocase ascii wide
        $b = "AmsiScanBuffer" ascii wide
        $c = "amsiInitFailed" nocase ascii wide
    condition:
        Apart and filesize < 4MB and any of them
}
