package spamassassin

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestScratchValid(t *testing.T) {
	b, _ := os.ReadFile("/tmp/cf/valid.txt")
	paths := strings.Fields(string(b))
	out, _ := os.ReadFile("/tmp/cf/valid.tsv")
	want := parseReference(t, out, len(paths))
	set, _ := Load(Config{Paths: []string{stockRules, siteRules}})
	fired, agree := 0, 0
	for _, a := range compareAll(t, set, "/work/shared/corpus/boundary", paths, want) {
		if a.fired > 0 {
			fired++
			if a.missing+a.more == 0 {
				agree++
			}
		}
		if a.missing+a.more > 0 {
			fmt.Println(a)
		}
	}
	fmt.Println(fired, agree, 100*float64(agree)/float64(fired))
}
