package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// freeMail says whether anybody can have a mailbox of the domain for nothing.
func freeMail(domain string) bool {
	domain = strings.ToLower(domain)
	if freeMailDomains[domain] {
		return true
	}
	label, rest, ok := strings.Cut(domain, ".")
	return ok && freeMailLabels[label] && len(rest) <= 6
}

// freeMailLabels are providers with a domain in many countries.
var freeMailLabels = set(`yahoo ymail hotmail outlook live msn gmx aol icloud yandex`)

var freeMailDomains = set(`gmail.com googlemail.com mail.com email.com usa.com consultant.com
	me.com mac.com rocketmail.com aim.com protonmail.com proton.me pm.me tutanota.com tuta.io mail.ru inbox.ru list.ru bk.ru
	internet.ru rambler.ru ya.ru ukr.net i.ua meta.ua qq.com foxmail.com 163.com 126.com yeah.net sina.com sina.cn sohu.com
	139.com 189.cn aliyun.com tom.com naver.com daum.net hanmail.net nate.com web.de freenet.de t-online.de gmx.net gmx.de
	laposte.net orange.fr free.fr sfr.fr wanadoo.fr libero.it virgilio.it alice.it tiscali.it tim.it o2.pl wp.pl onet.pl
	interia.pl seznam.cz email.cz centrum.cz centrum.sk azet.sk abv.bg mail.bg bol.com.br uol.com.br terra.com.br ig.com.br
	rediffmail.com zoho.com zohomail.com zohomail.eu fastmail.com hushmail.com inbox.com inbox.lv lycos.com excite.com
	mailbox.org posteo.de comcast.net att.net sbcglobal.net verizon.net cox.net btinternet.com sky.com virginmedia.com
	blueyonder.co.uk ntlworld.com talktalk.net bigpond.com optusnet.com.au telus.net shaw.ca rogers.com sympatico.ca
	walla.co.il walla.com citromail.hu freemail.hu mailfence.com gmx.com cock.li keemail.me tutamail.com outlook.com
	financier.com accountant.com diplomats.com representative.com post.com europe.com asia.com dr.com engineer.com
	myself.com mailsurf.com indiatimes.com in.com vodafone.it kakao.com mynet.com windowslive.com yahoo.co.jp docomo.ne.jp
	plala.or.jp nifty.com ybb.ne.jp iname.com netscape.net mail2world.com aliceadsl.fr skynet.be telenet.be ziggo.nl`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// A brand is a name that frauds like to wear. phrases are how it stands in a
// display name, as whole words in lower case between blanks; labels are the first labels of
// the registered domains that may wear it, next to any that equals the first phrase.
type brand struct {
	phrases []string
	labels  map[string]bool
}

func newBrand(phrases, labels string) brand {
	b := brand{labels: set(labels)}
	for _, p := range strings.Split(phrases, "|") {
		b.phrases = append(b.phrases, " "+words(p)+" ")
		b.labels[strings.ReplaceAll(p, " ", "")] = true
	}
	return b
}

// brands lists widely impersonated names. A name that is also a common word
// or a first name stands here only with a word that tells it apart.
var brands = []brand{
	newBrand("paypal", "paypal-communication paypalobjects xoom braintreegateway"),
	newBrand("amazon|amazon prime|aws", "amazon amazonaws amazonses audible primevideo awsevents media-amazon"),
	newBrand("apple id|apple support|apple inc|apple store|icloud|itunes|apple pay", "apple icloud itunes me mac"),
	newBrand("microsoft|office 365|office365|microsoft 365|onedrive|sharepoint|outlook team|microsoft outlook|azure", "microsoft microsoftonline office365 office onmicrosoft live outlook hotmail sharepointonline windows skype xbox github linkedin bing msn azure"),
	newBrand("google|gmail team|google drive|youtube", "google googlemail gmail youtube withgoogle google-analytics"),
	newBrand("facebook|meta business|facebook ads|instagram|whatsapp", "facebookmail facebook meta instagram whatsapp fb metamail"),
	newBrand("linkedin", "linkedin linkedin-ei"),
	newBrand("netflix", "netflix nflx"),
	newBrand("spotify", "spotify"),
	newBrand("ebay", "ebay ebayinc"),
	newBrand("dhl|dhl express", "dhl deutschepost dpdhl"),
	newBrand("fedex", "fedex fedexoffice"),
	newBrand("ups delivery|ups express|ups support|united parcel service", "ups upsemail"),
	newBrand("usps|us postal service|u.s. postal service", "usps uspis informeddelivery"),
	newBrand("dpd|royal mail|hermes paket|postnl|correos|chronopost|colissimo|la poste|poste italiane|swiss post|canada post|australia post|posten", "dpd dpdgroup royalmail hermesworld myhermes postnl correos chronopost laposte posteitaliane poste post swisspost canadapost auspost posten postnord"),
	newBrand("docusign", "docusign"),
	newBrand("dropbox", "dropbox dropboxmail hellosign"),
	newBrand("wetransfer", "wetransfer"),
	newBrand("adobe|adobe sign|adobe document", "adobe adobesign echosign"),
	newBrand("coinbase|binance|metamask|kraken support|blockchain.com|trust wallet|trustwallet|ledger live|crypto.com", "coinbase binance metamask consensys kraken blockchain trustwallet ledger crypto"),
	newBrand("chase bank|chase online|jpmorgan chase|wells fargo|bank of america|citibank|capital one|american express|us bank alerts", "chase jpmorgan jpmchase wellsfargo bankofamerica bofa citi citibank capitalone americanexpress aexp usbank"),
	newBrand("hsbc|barclays|lloyds bank|natwest|santander|halifax bank", "hsbc barclays lloydsbank lloydsbanking natwest rbs santander gruposantander halifax"),
	newBrand("sparkasse|volksbank|postbank|commerzbank|deutsche bank|comdirect|n26", "sparkasse volksbank vr postbank commerzbank deutsche-bank db comdirect n26 dkb ing"),
	newBrand("credit agricole|crédit agricole|bnp paribas|société générale|banque postale|ameli|assurance maladie", "credit-agricole ca-group bnpparibas socgen societegenerale labanquepostale ameli assurance-maladie gouv"),
	newBrand("bradesco|itaú|itau|nubank|banco do brasil|caixa econômica|serasa|mercado livre|mercado pago|mercado libre", "bradesco itau nubank bb caixa serasa serasaexperian mercadolivre mercadopago mercadolibre"),
	newBrand("intesa sanpaolo|unicredit|bbva|caixabank|agenzia delle entrate|agencia tributaria", "intesasanpaolo unicredit unicreditgroup bbva caixabank agenziaentrate gov gob agenciatributaria"),
	newBrand("hmrc|hm revenue|internal revenue service|irs", "gov hmrc irs"),
	newBrand("netsuite|intuit|quickbooks", "netsuite oracle intuit quickbooks"),
	newBrand("mcafee|norton|norton lifelock|geek squad", "mcafee norton nortonlifelock gen bestbuy geeksquad symantec"),
	newBrand("walmart|costco|lowe's|home depot|kohl's|target rewards|cvs pharmacy|walgreens", "walmart costco lowes homedepot kohls target cvs walgreens"),
	newBrand("xfinity|at&t|verizon|t-mobile|vodafone|telekom|telstra|swisscom|o2 online", "xfinity comcast att att-mail verizon verizonwireless t-mobile telekom t-online vodafone vodafonemail telstra swisscom bluewin o2 o2online"),
	newBrand("ionos|1&1|strato|godaddy|ovh|ovhcloud|hostinger|namecheap|cpanel", "ionos 1und1 strato godaddy secureserver ovh ovhcloud hostinger namecheap cpanel"),
	newBrand("state farm|aaa auto|blue cross", "statefarm aaa bcbs anthem"),
	newBrand("disney plus|disney+|hulu|prime video", "disney disneyplus hulu primevideo amazon"),
	newBrand("zoom video|microsoft teams|slack workspace", "zoom microsoft slack"),
	newBrand("booking.com|airbnb|expedia", "booking airbnb expedia expediamail"),
	newBrand("shopify|stripe payments|klarna|wise transfer|western union|moneygram", "shopify stripe klarna wise westernunion moneygram"),
}

// brandIn says whether a display name wears a brand and whether the domain
// has no right to it.
func brandIn(name, domain string) (worn, foreign bool) {
	name = " " + words(name) + " "
	label := orgLabel(domain)
	for i := range brands {
		for _, p := range brands[i].phrases {
			if strings.Contains(name, p) {
				if brands[i].labels[label] {
					return true, false
				}
				worn, foreign = true, true
				break
			}
		}
	}
	return worn, foreign
}

// words folds a name to lower-case letters and digits with single spaces.
func words(s string) string {
	out := make([]byte, 0, len(s)+8)
	gap := false
	for _, r := range s {
		if r = unicode.ToLower(r); !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			gap = true
			continue
		}
		if gap && len(out) > 0 {
			out = append(out, ' ')
		}
		gap = false
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

// hostWearsBrand says whether a host name shows a brand as a label or as a
// part of one between hyphens, below a domain that is not the brand's.
func hostWearsBrand(host string) bool {
	for part := range strings.FieldsFuncSeq(strings.ToLower(host), func(r rune) bool { return r == '.' || r == '-' }) {
		owners, ok := hostBrands[part]
		if ok && !owners[orgLabel(host)] {
			return true
		}
	}
	return false
}

// hostBrands maps the part of a host name to the registered labels that may
// bear it. Only names that are nobody's word or family name are here.
var hostBrands = map[string]map[string]bool{
	"paypal": set("paypal paypal-communication paypalobjects"), "amazon": set("amazon amazonaws amazonses media-amazon ssl-images-amazon"),
	"appleid": set("apple"), "icloud": set("icloud apple"), "microsoft": set("microsoft windows azure office microsoftonline azureedge akamaized"),
	"microsoftonline": set("microsoftonline microsoft windows"), "office365": set("office365 office microsoft outlook"),
	"onedrive": set("onedrive live microsoft"), "netflix": set("netflix nflxext"), "facebook": set("facebook facebookmail fbcdn"),
	"instagram": set("instagram cdninstagram"), "whatsapp": set("whatsapp"), "dhl": set("dhl"), "fedex": set("fedex"), "usps": set("usps"),
	"docusign": set("docusign"), "dropbox": set("dropbox"), "coinbase": set("coinbase"), "binance": set("binance"), "metamask": set("metamask"),
	"wellsfargo": set("wellsfargo"), "bankofamerica": set("bankofamerica"), "chaseonline": set("chase"), "hsbc": set("hsbc"),
	"barclays": set("barclays"), "santander": set("santander"), "sparkasse": set("sparkasse"), "postbank": set("postbank"),
	"bradesco": set("bradesco"), "itau": set("itau"), "nubank": set("nubank"), "bbva": set("bbva"), "unicredit": set("unicredit unicreditgroup"),
	"ebay": set("ebay ebaystatic ebayimg"), "linkedin": set("linkedin licdn"), "wetransfer": set("wetransfer"), "spotify": set("spotify spotifycdn"),
	"steamcommunity": set("steamcommunity"),
}

// freeHost says whether a link's host is a page that anybody can put up in a
// minute and lose in an hour: builders, form makers, serverless platforms.
func freeHost(host string) bool {
	if strings.HasSuffix(host, ".amazonaws.com") && (strings.HasPrefix(host, "s3") || strings.Contains(host, ".s3")) {
		return true
	}
	for h := host; h != ""; {
		if freeHosts[h] {
			return true
		}
		_, rest, ok := strings.Cut(h, ".")
		if !ok {
			return false
		}
		h = rest
	}
	return false
}

var freeHosts = set(`web.app firebaseapp.com firebasestorage.googleapis.com herokuapp.com netlify.app vercel.app pages.dev workers.dev r2.dev
	weebly.com weeblysite.com wixsite.com editorx.io sites.google.com forms.gle storage.googleapis.com storage.cloud.google.com
	blob.core.windows.net web.core.windows.net azurewebsites.net azurefd.net cloudapp.azure.com ipfs.io dweb.link cf-ipfs.com glitch.me repl.co replit.app
	000webhostapp.com godaddysites.com square.site typeform.com jotform.com formstack.com notion.site webflow.io surge.sh ngrok.io ngrok-free.app
	onrender.com fleek.co translate.goog duckdns.org ddns.net hopto.org zapto.org sytes.net myftp.org serveo.net trycloudflare.com 
	altervista.org byethost.com infinityfreeapp.com rf.gd epizy.com ucoz.ru yolasite.com webnode.page jimdosite.com jimdofree.com
	strikingly.com mystrikingly.com website.com site123.me canva.site carrd.co framer.app
	framer.website myportfolio.com s3.amazonaws.com amplifyapp.com lovable.app fly.dev up.railway.app vercel.sh digitaloceanspaces.com
	linodeobjects.com backblazeb2.com telegra.ph`)

// shortener says whether a host hides the target behind a short name.
func shortener(host string) bool { return shorteners[strings.TrimPrefix(host, "www.")] }

var shorteners = set(`bit.ly bitly.com t.co tinyurl.com goo.gl ow.ly is.gd v.gd cutt.ly rb.gy rebrand.ly t.ly s.id shorturl.at tiny.cc lnkd.in qrco.de
	linktr.ee buff.ly adf.ly bl.ink short.io shorte.st t2m.io tr.im urlz.fr u.to clck.ru vk.cc goo.su n9.cl acortar.link encurtador.com.br
	shorturl.asia surl.li kutt.it dub.sh lc.cx bitly.ws tny.sh x.gd da.gd soo.gd rotf.lol chilp.it me2.do han.gl urlzs.com 2no.co iplogger.org`)
