package clamav
import ("testing";"strings";"fmt";"time";"os";"path/filepath";"spamcatcher/signatures/yara")
func TestScale(t *testing.T){
 m:=newMaker(3); var b strings.Builder
 for i:=range 50000 { p:=""; for range 8+m.IntN(30){ p+=fmt.Sprintf("%02x",m.IntN(256))}; if i%3==0 {w,_:=m.pattern(); p+="{-20}"+w}; fmt.Fprintf(&b,"Win.Trojan.Agent-%d:%d:*:%s\n",i,[]int{0,1,3,4,7}[m.IntN(5)],p)}
 dir:=t.TempDir(); os.WriteFile(filepath.Join(dir,"a.ndb"),[]byte(b.String()),0600)
 start:=time.Now(); s,_:=Read(dir); t.Logf("read %v, %d translated %v", time.Since(start), s.Report().Translated, s.Report().Skipped)
 n:=0; for _,x:=range s.Sources(){n+=len(x.Text)}; t.Logf("%d bytes of text",n)
 before:=resident("VmRSS"); start=time.Now(); r,problems,err:=yara.Compile(s.Sources()); t.Logf("compile %v %d %v rss +%d MB", time.Since(start), len(problems), err, (resident("VmRSS")-before)>>20)
 data:=[]byte(strings.Repeat("Dear Sir, please find the attached document. ",400))
 start=time.Now(); for range 200 { scan(t,r,data,yara.Facts{}) }; t.Logf("scan of %d bytes %v", len(data), time.Since(start)/200)
}
