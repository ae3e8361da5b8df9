package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// maxRedirects bounds how often an answer may send us elsewhere.
const maxRedirects = 5

var (
	errLarge = errors.New("it is larger than allowed")
	errSlow  = errors.New("it comes too slowly")
	errTime  = errors.New("it takes too long")
)

// checkURL reads the address of a channel. What is neither HTTPS nor on this
// machine could be changed on the way: the signature would show it, but who keeps
// us from newer rules would not be seen.
func checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the address of the channel: %w", err)
	case u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return nil, fmt.Errorf("%q is no address of a directory", u.Redacted())
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u):
		return u, nil
	}
	return nil, fmt.Errorf("%q: a channel is asked by https", u.Redacted())
}

// CheckURL says why a text cannot be the address of a channel.
func CheckURL(text string) error {
	_, err := checkURL(text)
	return err
}

func loopback(u *url.URL) bool {
	if u.Hostname() == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && a.IsLoopback()
}

// newClient is base, or a client of our own, that follows few redirects and none
// that gives up TLS.
func newClient(base *http.Client) *http.Client {
	var client http.Client
	if base != nil {
		client = *base
	} else {
		client.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:    15 * time.Second,
			ResponseHeaderTimeout:  30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true, // an hour is long
			ForceAttemptHTTP2:      true,
		}
	}
	client.Jar, client.Timeout = nil, 0
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) >= maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		if r.URL.Scheme != "https" && (r.URL.Scheme != "http" || via[0].URL.Scheme != "http" || !loopback(r.URL)) {
			return fmt.Errorf("a redirect from https to %s", r.URL.Redacted())
		}
		return nil
	}
	return &client
}

// validators are what makes a question conditional, RFC 9110 section 8.8.
type validators struct{ etag, modified string }

// validatorsOf keeps what can be sent back as it came.
func validatorsOf(h http.Header) validators {
	var v validators
	if etag := h.Get("ETag"); validETag(etag) {
		v.etag = etag
	}
	if t, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		v.modified = t.UTC().Format(http.TimeFormat)
	}
	return v
}

// validETag: RFC 9110 section 8.8.3: [W/] and a quoted text without quotes,
// controls and spaces.
func validETag(s string) bool {
	s = strings.TrimPrefix(s, "W/")
	if len(s) < 2 || len(s) > 256 || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	return !strings.ContainsFunc(s[1:len(s)-1], func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f || r == 0xfffd })
}

// errUnchanged: an answer 304 to a conditional question.
var errUnchanged = errors.New("not modified")

// get writes the body of a file of the channel into w, at most max bytes of it.
// The whole of it is bounded in time by ctx, and in slowness by c.rate.
func (c *Channel) get(ctx context.Context, name string, max int64, v validators, w io.Writer) (validators, error) {
	fail := func(err error) (validators, error) {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return validators{}, fmt.Errorf("getting %s: %w", name, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var arrived atomic.Int64
	defer c.watch(&arrived, cancel)()

	address := c.url.JoinPath(name).String()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fail(err)
	}
	// Nothing is unpacked on the way: sizes are those of what arrives.
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("User-Agent", "spamcatcher")
	if v.etag != "" {
		r.Header.Set("If-None-Match", v.etag)
	}
	if v.modified != "" {
		r.Header.Set("If-Modified-Since", v.modified)
	}
	answer, err := c.client.Do(r)
	if err != nil {
		return fail(err)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotModified && v != validators{}:
		return v, errUnchanged
	case answer.StatusCode != http.StatusOK:
		return fail(fmt.Errorf("the server answers %d", answer.StatusCode))
	case answer.Header.Get("Content-Encoding") != "" && answer.Header.Get("Content-Encoding") != "identity":
		return fail(fmt.Errorf("the server sends it packed as %.40q", answer.Header.Get("Content-Encoding")))
	case answer.ContentLength > max:
		return fail(fmt.Errorf("%w: %d bytes, not %d", errLarge, answer.ContentLength, max))
	}
	n, err := io.Copy(&counting{w, &arrived}, io.LimitReader(answer.Body, max+1))
	if err == nil && n > max {
		err = fmt.Errorf("%w: more than %d bytes", errLarge, max)
	}
	if err == nil { // a body that was cut off may look like one that ended
		err = context.Cause(ctx)
	}
	if err != nil {
		return fail(err)
	}
	return validatorsOf(answer.Header), nil
}

// counting is a writer that counts for the watch before it writes.
type counting struct {
	io.Writer
	n *atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.Writer.Write(p)
}

// watch ends a download in which, for a whole window, less than the least rate
// arrived.
func (c *Channel) watch(arrived *atomic.Int64, cancel context.CancelCauseFunc) (stop func()) {
	tick := time.NewTicker(c.window)
	done := make(chan struct{})
	least := int64(float64(c.rate) * c.window.Seconds())
	go func() {
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if arrived.Swap(0) < least {
					cancel(errSlow)
				}
			}
		}
	}()
	return func() { tick.Stop(); close(done) }
}

// readAll reads what is at most max bytes long.
func readAll(r io.Reader, max int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, max+1))
	if err == nil && int64(len(text)) > max {
		err = fmt.Errorf("%w: more than %d bytes", errLarge, max)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}
