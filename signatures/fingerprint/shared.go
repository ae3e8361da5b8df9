package fingerprint

import (
	_ "embed"
	"strings"
)

//go:embed shared.txt
var sharedText string

// sharedDomains are the registered domains in shared.txt.
var sharedDomains = words(sharedText)

// furnitureWords in a path or as a key of a query tell that a link lets a reader
// leave, choose, complain or read in a browser, or counts him.
var furnitureWords = words(`
unsubscribe unsub optout opt unsubscription subscription subscriptions subscribe preferences preference prefs psettings settings manage profile
click clicks clk track tracking tracker open opens view views viewinbrowser webversion browser online wf ls redirect redir beacon pixel
privacy terms legal imprint impressum datenschutz agb contact kontakt about faq policy policies cookie cookies conditions disclaimer
abmelden abbestellen desabonner desinscription baja cancelar uitschrijven afmelden listinfo mailman listserv
`)

// commonWords say nothing of whose path it is.
var commonWords = words(`
index home default main start page pages site web www http https html htm php asp aspx jsp cgi do
wp content uploads upload includes plugins themes admin static assets asset images image img media files file download downloads docs doc pdf
login signin logon account accounts user users member members customer secure auth verify
news newsletter newsletters blog article articles post posts story archive archives category tag tags event events
shop store product products item items cart order orders offer offers sale help support service services search
link links mail email mailing campaign campaigns message messages token key ref source medium utm id uid cid mid lid sid pid lang locale en de fr es
`)

func words(text string) map[string]bool {
	set := map[string]bool{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		for _, w := range strings.Fields(line) {
			set[w] = true
		}
	}
	return set
}
