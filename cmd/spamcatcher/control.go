package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"spamcatcher/queue"
)

// One process holds the queue. While the gateway runs, the commands talk to
// it over a Unix socket in the state directory; otherwise they open the queue
// themselves. Both are a store.
type store interface {
	List(ctx context.Context, f queue.Filter, each func(*queue.Item) bool) error
	Get(id string) (*queue.Item, error)
	Body(id string) (io.ReadSeekCloser, error)
	Flush(f queue.Filter) (int, error)
	Hold(reason string, ids ...string) error
	Release(ids ...string) error
	Delete(ids ...string) error
	LaneStates() ([]queue.LaneState, error)
	Check(ctx context.Context, report func(queue.Finding)) (queue.Summary, error)
	Backup(ctx context.Context, dir string) (queue.Summary, error)
	Close() error
}

// local is the queue of this process as a store.
type local struct{ *queue.Queue }

// LaneStates cannot fail here; from another process it can.
func (q local) LaneStates() ([]queue.LaneState, error) { return q.Lanes(), nil }

func (c *Config) socket() string      { return filepath.Join(c.State, "control.sock") }
func (c *Config) queueDir() string    { return filepath.Join(c.State, "queue") }
func (c *Config) greylistDir() string { return filepath.Join(c.State, "greylist") }
func (c *Config) maildir() string     { return filepath.Join(c.State, "maildir") }

// openStore finds the queue of c: through the running gateway, or from disk.
//
// A gateway that is just starting or ending holds the queue and does not
// answer: it gets a few seconds.
func openStore(c *Config) (store, error) {
	const patience = 5 * time.Second
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		q, err := tryStore(c)
		if !errors.Is(err, queue.ErrLocked) {
			return q, err
		}
		if time.Since(begin) > patience {
			return nil, fmt.Errorf("another process holds the queue and does not answer: %w", err)
		}
	}
}

func tryStore(c *Config) (store, error) {
	client, err := dialControl(c.socket())
	if err == nil {
		return client, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("the queue in %s belongs to another user: %w", c.State, err)
	}
	if _, err := os.Stat(c.queueDir()); errors.Is(err, os.ErrNotExist) {
		return nil, usageError{fmt.Errorf("there is no queue in %s (choose the state directory with --state or --config)", c.State)}
	}
	q, err := queue.Open(c.queueAtRest())
	if err != nil {
		return nil, err
	}
	return local{q}, nil
}

// queueAtRest is the queue's configuration for a command while no gateway runs.
func (c *Config) queueAtRest() queue.Config {
	q := queue.Config{Dir: c.queueDir(), MinFree: c.MinFree, Lifetime: c.Lifetime}
	// Without domains, mail stays in the lanes that it is in: a command may have
	// been given the state directory only.
	if domains, _, err := newDomains(c); err == nil && len(domains.All()) > 0 {
		q.Lane = domains.Lane
	}
	return q
}

// serveControl answers the commands on the socket until ctx ends; more adds to
// what it answers.
func serveControl(ctx context.Context, socket string, q store, more ...func(*http.ServeMux)) (stop func(context.Context) error, err error) {
	// A socket file that nobody listens on was left by a crash; the queue's
	// lock already keeps a second gateway out.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	address, forget, err := shortPath(socket)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	defer forget()
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", address)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", socket, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(socket, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	server := &http.Server{Handler: controlHandler(q, more...), ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(l)
	return func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		os.Remove(socket) // one that stays is removed at the next start
		return err
	}, nil
}

// maxSocketPath is the longest path that a Unix socket's address holds: 108
// bytes with the final NUL, unix(7).
const maxSocketPath = 107

// shortPath returns a path to socket that fits into an address, however deep
// its directory lies; it is good until forget is called.
func shortPath(socket string) (path string, forget func(), err error) {
	if len(socket) <= maxSocketPath {
		return socket, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(socket)), func() { dir.Close() }, nil
}

func controlHandler(q store, more ...func(*http.ServeMux)) http.Handler {
	mux := http.NewServeMux()
	for _, add := range more {
		add(mux)
	}
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("GET /items", func(w http.ResponseWriter, r *http.Request) {
		encode := json.NewEncoder(w)
		err := q.List(r.Context(), filterOf(r.URL.Query()), func(it *queue.Item) bool { return encode.Encode(it) == nil })
		if err != nil {
			w.Header().Set(http.TrailerPrefix+"Error", err.Error())
		}
	})
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		it, err := q.Get(r.PathValue("id"))
		if err != nil {
			controlError(w, err)
			return
		}
		json.NewEncoder(w).Encode(it)
	})
	mux.HandleFunc("GET /items/{id}/body", func(w http.ResponseWriter, r *http.Request) {
		body, err := q.Body(r.PathValue("id"))
		if err != nil {
			controlError(w, err)
			return
		}
		defer body.Close()
		io.Copy(w, body)
	})
	mux.HandleFunc("GET /lanes", func(w http.ResponseWriter, r *http.Request) {
		lanes, err := q.LaneStates()
		if err != nil {
			controlError(w, err)
			return
		}
		json.NewEncoder(w).Encode(lanes)
	})
	mux.HandleFunc("POST /check", func(w http.ResponseWriter, r *http.Request) {
		encode := json.NewEncoder(w)
		sum, err := q.Check(r.Context(), func(f queue.Finding) { encode.Encode(checkLine{Finding: &f}) })
		encode.Encode(checkLine{Summary: sum})
		if err != nil {
			w.Header().Set(http.TrailerPrefix+"Error", err.Error())
		}
	})
	mux.HandleFunc("POST /backup", func(w http.ResponseWriter, r *http.Request) {
		sum, err := q.Backup(r.Context(), r.URL.Query().Get("dir"))
		if err != nil {
			controlError(w, err)
			return
		}
		json.NewEncoder(w).Encode(sum)
	})
	mux.HandleFunc("POST /flush", func(w http.ResponseWriter, r *http.Request) {
		n, err := q.Flush(filterOf(r.URL.Query()))
		if err != nil {
			controlError(w, err)
			return
		}
		fmt.Fprint(w, n)
	})
	for path, act := range map[string]func(values url.Values) error{
		"hold":    func(v url.Values) error { return q.Hold(v.Get("reason"), v["id"]...) },
		"release": func(v url.Values) error { return q.Release(v["id"]...) },
		"delete":  func(v url.Values) error { return q.Delete(v["id"]...) },
	} {
		mux.HandleFunc("POST /"+path, func(w http.ResponseWriter, r *http.Request) {
			if err := act(r.URL.Query()); err != nil {
				controlError(w, err)
			}
		})
	}
	return mux
}

// checkLine is one line of the answer to /check: a finding, or at the end the sum.
type checkLine struct {
	Finding *queue.Finding `json:",omitempty"`
	Summary queue.Summary
}

func controlError(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	if errors.Is(err, queue.ErrNotFound) {
		code = http.StatusNotFound
	}
	http.Error(w, err.Error(), code)
}

func filterOf(v url.Values) queue.Filter {
	f := queue.Filter{ID: v.Get("id"), Sender: v.Get("sender"), Recipient: v.Get("recipient"), Domain: v.Get("domain"), Held: v.Get("held") != "", Active: v.Get("active") != ""}
	if v.Has("lane") {
		lane := v.Get("lane")
		f.Lane = &lane
	}
	f.Older, _ = time.ParseDuration(v.Get("older")) // "" is 0
	return f
}

func valuesOf(f queue.Filter) url.Values {
	v := url.Values{}
	for key, value := range map[string]string{"id": f.ID, "sender": f.Sender, "recipient": f.Recipient, "domain": f.Domain} {
		if value != "" {
			v.Set(key, value)
		}
	}
	if f.Lane != nil {
		v.Set("lane", *f.Lane)
	}
	if f.Older != 0 {
		v.Set("older", f.Older.String())
	}
	if f.Held {
		v.Set("held", "1")
	}
	if f.Active {
		v.Set("active", "1")
	}
	return v
}

// controlClient is the queue of a running gateway.
type controlClient struct{ http *http.Client }

func dialControl(socket string) (*controlClient, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		address, forget, err := shortPath(socket)
		if err != nil {
			return nil, err
		}
		defer forget()
		return (&net.Dialer{}).DialContext(ctx, "unix", address)
	}}
	c := &controlClient{&http.Client{Transport: transport}}
	_, err := c.do(http.MethodGet, "/ping", nil)
	return c, err
}

// do returns the answer's body, at most a limit that no answer but a body or
// a listing reaches.
func (c *controlClient) do(method, path string, v url.Values) ([]byte, error) {
	body, err := c.open(context.Background(), method, path, v)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func (c *controlClient) open(ctx context.Context, method, path string, v url.Values) (io.ReadCloser, error) {
	answer, err := c.ask(ctx, method, path, v)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// ask returns an answer of 200, whose body the caller closes.
func (c *controlClient) ask(ctx context.Context, method, path string, v url.Values) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://gateway"+path+"?"+v.Encode(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("asking the running gateway: %w", err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if answer.StatusCode == http.StatusNotFound {
		return nil, queue.ErrNotFound
	}
	return nil, fmt.Errorf("the running gateway says: %s", strings.TrimSpace(string(text)))
}

func (c *controlClient) List(ctx context.Context, f queue.Filter, each func(*queue.Item) bool) error {
	return stream(c, ctx, http.MethodGet, "/items", valuesOf(f), each)
}

// stream reads an answer of one JSON object a line until each returns false.
func stream[T any](c *controlClient, ctx context.Context, method, path string, v url.Values, each func(*T) bool) error {
	answer, err := c.ask(ctx, method, path, v)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for decode := json.NewDecoder(answer.Body); ; {
		var line T
		if err := decode.Decode(&line); errors.Is(err, io.EOF) {
			if text := answer.Trailer.Get("Error"); text != "" {
				return fmt.Errorf("the running gateway says: %s", text)
			}
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the gateway's answer: %w", err)
		}
		if !each(&line) {
			return nil
		}
	}
}

func (c *controlClient) Check(ctx context.Context, report func(queue.Finding)) (sum queue.Summary, err error) {
	err = stream(c, ctx, http.MethodPost, "/check", nil, func(l *checkLine) bool {
		if l.Finding != nil {
			report(*l.Finding)
		} else {
			sum = l.Summary
		}
		return true
	})
	return sum, err
}

func (c *controlClient) Backup(ctx context.Context, dir string) (sum queue.Summary, err error) {
	body, err := c.open(ctx, http.MethodPost, "/backup", url.Values{"dir": {dir}})
	if err != nil {
		return sum, err
	}
	defer body.Close()
	return sum, json.NewDecoder(body).Decode(&sum)
}

func (c *controlClient) LaneStates() (lanes []queue.LaneState, err error) {
	answer, err := c.do(http.MethodGet, "/lanes", nil)
	if err != nil {
		return nil, err
	}
	return lanes, json.Unmarshal(answer, &lanes)
}

func (c *controlClient) Get(id string) (*queue.Item, error) {
	answer, err := c.do(http.MethodGet, "/items/"+url.PathEscape(id), nil)
	if err != nil {
		return nil, err
	}
	var it queue.Item
	return &it, json.Unmarshal(answer, &it)
}

func (c *controlClient) Body(id string) (io.ReadSeekCloser, error) {
	answer, err := c.do(http.MethodGet, "/items/"+url.PathEscape(id)+"/body", nil)
	return readSeekCloser{strings.NewReader(string(answer))}, err
}

type readSeekCloser struct{ io.ReadSeeker }

func (readSeekCloser) Close() error { return nil }

func (c *controlClient) Flush(f queue.Filter) (int, error) {
	answer, err := c.do(http.MethodPost, "/flush", valuesOf(f))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(answer))
}

func (c *controlClient) Hold(reason string, ids ...string) error {
	_, err := c.do(http.MethodPost, "/hold", url.Values{"id": slices.Clone(ids), "reason": {reason}})
	return err
}

func (c *controlClient) Release(ids ...string) error {
	_, err := c.do(http.MethodPost, "/release", url.Values{"id": slices.Clone(ids)})
	return err
}

func (c *controlClient) Delete(ids ...string) error {
	_, err := c.do(http.MethodPost, "/delete", url.Values{"id": slices.Clone(ids)})
	return err
}

func (c *controlClient) Close() error {
	c.http.CloseIdleConnections()
	return nil
}
