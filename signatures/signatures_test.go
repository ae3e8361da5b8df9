package signatures_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/signatures"
)

var eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR` + `-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

func attached(encoding, content string) string {
	return strings.ReplaceAll(fmt.Sprintf(`From: a@example.com
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/plain

See the attachment.
--x
Content-Type: application/octet-stream; name=test.com
Content-Transfer-Encoding: %s

%s
--x--
`, encoding, content), "\n", "\r\n")
}

func TestEICAR(t *testing.T) {
	quoted := strings.ReplaceAll(eicar, "-", "=2D")
	for name, c := range map[string]struct {
		raw  string
		hits int
	}{
		"base64":           {attached("base64", base64.StdEncoding.EncodeToString([]byte(eicar))), 1},
		"quoted-printable": {attached("quoted-printable", strings.ReplaceAll(quoted, "$H", "$=\nH")), 1},
		"plain":            {attached("7bit", eicar), 1},
		"twice":            {attached("7bit", eicar+"\n"+eicar), 1},
		"message body":     {"Subject: x\r\n\r\n" + eicar + "\r\n", 1},
		"all but one byte": {attached("base64", base64.StdEncoding.EncodeToString([]byte(eicar[:len(eicar)-1]))), 0},
		"harmless":         {attached("7bit", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE"), 0},
	} {
		m := &engine.Mail{Message: message.Parse([]byte(c.raw), message.Limits{})}
		hits, err := signatures.New(signatures.Config{}).Inspect(t.Context(), m)
		if err != nil || len(hits) != c.hits {
			t.Errorf("%s: hits %v, error %v; want %d", name, hits, err, c.hits)
		}
	}
}

func TestVirusScoresHundred(t *testing.T) {
	plan, err := engine.NewPlan(engine.PlanConfig{Checks: []engine.Check{signatures.New(signatures.Config{})}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(plan, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	v := e.Judge(t.Context(), &engine.Mail{Message: message.Parse([]byte(attached("base64", base64.StdEncoding.EncodeToString([]byte(eicar)))), message.Limits{})})
	if v.Score != 100 || v.Virus != "EICAR-Test-File" {
		t.Errorf("score %v, virus %q", v.Score, v.Virus)
	}
}
