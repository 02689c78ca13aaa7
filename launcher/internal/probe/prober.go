package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"onemore/launcher/internal/proc"
)

// Prober makes calls. It keeps at most one idle connection to each HTTP server
// it asks, for a second, so that a loop of polls costs little. It is safe for
// concurrent use.
type Prober struct {
	run  func(context.Context, proc.Spec) (proc.Output, error)
	http *http.Client

	mu      sync.Mutex
	clients map[[2]string]*http.Client // by certificate and key of the client; guarded by mu
}

// New returns a Prober that runs commands with run: a Spawner's Run in a process
// that has a Spawner, and proc.Run, which is what nil means, in any other.
func New(run func(context.Context, proc.Spec) (proc.Output, error)) *Prober {
	if run == nil {
		run = proc.Run
	}
	return &Prober{run: run, http: newClient(nil), clients: map[[2]string]*http.Client{}}
}

func newClient(certs []tls.Certificate) *http.Client {
	t := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: -1}).DialContext,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: true, Certificates: certs}, // see Call.Cert
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		TLSHandshakeTimeout:    2 * time.Second,
	}
	return &http.Client{Transport: t, CheckRedirect: sameServer}
}

// client is the one that shows a call's certificate.
func (p *Prober) client(c Call) (*http.Client, error) {
	if c.Cert == "" {
		return p.http, nil
	}
	files := [2]string{c.Cert, c.Key}
	p.mu.Lock()
	known := p.clients[files]
	p.mu.Unlock()
	if known != nil {
		return known, nil
	}
	cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("read client certificate: %w", err)
	}
	made := newClient([]tls.Certificate{cert})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients[files] = made
	return made, nil
}

// sameServer follows redirects only where the answer stays the server's own.
func sameServer(r *http.Request, via []*http.Request) error {
	if len(via) > 5 {
		return errors.New("more than 5 redirects")
	}
	if r.URL.Host != via[0].URL.Host {
		return http.ErrUseLastResponse
	}
	return nil
}

// Close drops idle connections. The Prober can be used after it.
func (p *Prober) Close() error {
	p.http.CloseIdleConnections()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.clients {
		c.CloseIdleConnections()
	}
	return nil
}

// Do makes the call. The error says what was asked, what came back, and why that
// won't do; the Answer has the text even then, if there was any.
func (p *Prober) Do(ctx context.Context, c Call) (Answer, error) {
	if err := c.Check(); err != nil {
		return Answer{}, fmt.Errorf("probe %q: %w", c, err)
	}
	re, err := c.compile()
	if err != nil {
		return Answer{}, fmt.Errorf("probe %q: %w", c, err)
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v", timeout))
	defer cancel()
	var a Answer
	switch {
	case c.HTTP != "":
		a, err = p.doHTTP(ctx, c, re)
	case c.TCP != "":
		a, err = doTCP(ctx, c, re)
	default:
		a, err = p.doExec(ctx, c, re)
	}
	if err != nil {
		return a, fmt.Errorf("probe %q: %w", c, err)
	}
	return a, nil
}

// because prefers why the context ended to what that made of a call.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (p *Prober) doHTTP(ctx context.Context, c Call, re patterns) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, c.Method, c.HTTP, strings.NewReader(c.Body))
	if err != nil {
		return Answer{}, err
	}
	for name, value := range c.Header {
		r.Header.Set(name, value)
		if http.CanonicalHeaderKey(name) == "Host" {
			r.Host = value
		}
	}
	if c.User != "" {
		r.SetBasicAuth(c.User, c.Password)
	}
	client, err := p.client(c)
	if err != nil {
		return Answer{}, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return Answer{}, because(ctx, bare(err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return Answer{}, fmt.Errorf("read answer: %w", because(ctx, err))
	}
	if resp.StatusCode/100 != 2 {
		return Answer{Text: string(b)}, fmt.Errorf("answered %s: %s", resp.Status, shorten(string(b)))
	}
	return c.judge(string(b), re)
}

// bare strips what repeats the call from an error of net/http.
func bare(err error) error {
	if u := errors.Unwrap(err); u != nil {
		return u
	}
	return err
}

func doTCP(ctx context.Context, c Call, re patterns) (Answer, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.TCP)
	if err != nil {
		return Answer{}, because(ctx, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if c.TLS != "" {
		if conn, err = secure(conn, c, re.tls); err != nil {
			return Answer{}, because(ctx, err)
		}
	}
	if _, err := io.WriteString(conn, c.Send); err != nil {
		return Answer{}, fmt.Errorf("send: %w", because(ctx, err))
	}
	if !c.asks() {
		return Answer{}, nil
	}
	var text []byte
	buf := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buf)
		text = append(text, buf[:n]...)
		over := err != nil || len(text) >= answerLimit
		if c.Expect != "" || c.Number != "" || c.JSON != "" || over {
			a, judged := c.judge(string(text), re)
			if judged == nil {
				return a, nil
			}
			if over && len(text) == 0 && err != nil && !errors.Is(err, io.EOF) {
				return a, because(ctx, err)
			}
			if over {
				return a, judged
			}
		}
	}
}

// secure begins TLS on a connection, after what the server says first where the call knows that.
func secure(conn net.Conn, c Call, greeting *regexp.Regexp) (net.Conn, error) {
	if c.TLS != "direct" {
		var text []byte
		buf := make([]byte, 4<<10)
		for !greeting.Match(text) {
			n, err := conn.Read(buf)
			text = append(text, buf[:n]...)
			if len(text) > answerLimit {
				err = errors.New("too long")
			}
			if err != nil {
				return nil, fmt.Errorf("begin TLS: the server said %s first, which does not match %q: %w", shorten(string(text)), c.TLS, err)
			}
		}
	}
	config := &tls.Config{InsecureSkipVerify: true} // see Call.Cert
	if c.Cert != "" {
		cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("read client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	secured := tls.Client(conn, config)
	if err := secured.Handshake(); err != nil {
		return nil, fmt.Errorf("begin TLS: %w", err)
	}
	return secured, nil
}

func (p *Prober) doExec(ctx context.Context, c Call, re patterns) (Answer, error) {
	out, err := p.run(ctx, proc.Spec{Args: c.Exec, Dir: c.Dir, Env: c.Env, Copy: c.Log, User: c.As})
	text := string(out.Stdout) + string(out.Stderr)
	if err != nil {
		return Answer{Text: text}, bare(err)
	}
	if out.Code != 0 {
		return Answer{Text: text}, &Refusal{Code: out.Code, Text: text}
	}
	return c.judge(text, re)
}

// Refusal is the error of a command that ran and ended with another code than 0.
type Refusal struct {
	Code int
	Text string // what it wrote
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("ended with code %d, wrote %s", r.Code, shorten(r.Text))
}
