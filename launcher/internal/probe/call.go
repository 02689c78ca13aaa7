package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"onemore/launcher/internal/proc"
)

// DefaultTimeout bounds one call that has no timeout of its own.
const DefaultTimeout = 5 * time.Second

// answerLimit is how much of an answer is read, in bytes.
const answerLimit = 1 << 20

// Call is one question. Exactly one of HTTP, TCP and Exec is set.
type Call struct {
	// HTTP is a URL, asked with Method (GET) and Body. An answer other than 2xx
	// is an error.
	HTTP         string
	Method, Body string
	Header       map[string]string
	// User and Password are for basic authentication, if User is not empty.
	User, Password string
	// TLS says that TCP speaks TLS: "direct" from the first byte on, else a regular expression of what the server says before
	// the handshake, as with STARTTLS.
	TLS string

	// Cert and Key are PEM files by which a client shows who it is, with https and TLS. The server's own certificate is not checked: what
	// is asked is a process of ours on this host, whose certificate may be made for any name.
	Cert, Key string

	// TCP is a host:port to connect to. Send is written to it; without Expect
	// and the like that is all. Otherwise the answer is read until it satisfies
	// them, or the server closes the connection.
	TCP, Send string

	// Exec is a program and its arguments. Its exit code must be 0; the answer is
	// its standard output, followed by its standard error.
	Exec []string
	Dir  string
	Env  []string
	// As, if not nil, is who Exec runs as.
	As *proc.User
	// Log, if not nil, gets what Exec writes, as it writes it.
	Log *os.File

	// Expect is a regular expression that the answer must match, Refuse one that
	// it must not match.
	Expect, Refuse string

	// At most one of these is set: Number is a regular expression whose first
	// group (or whole match) is the answer's number; Count one whose matches are
	// counted, or with a group the different texts that it matched; JSON the dotted path to a number, or to a list or object, whose
	// length counts. Elements of lists are numbered from 0; an empty element
	// (".") is the document itself.
	Number, Count, JSON string

	// Timeout bounds the call; 0 is DefaultTimeout.
	Timeout time.Duration
}

// Answer is what the server said.
type Answer struct {
	Text string
	// Number is what Number, Count or JSON found; HasNumber says that one was asked for.
	Number    int
	HasNumber bool
	// Texts are, sorted, the different texts that the group of Count matched.
	Texts []string
}

// Check returns all that is wrong with the call itself.
func (c Call) Check() error {
	var errs []error
	kinds := 0
	for _, set := range []bool{c.HTTP != "", c.TCP != "", len(c.Exec) > 0} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		errs = append(errs, errors.New("exactly one of http, tcp and exec must be given"))
	}
	numbers := 0
	for _, text := range []string{c.Number, c.Count, c.JSON} {
		if text != "" {
			numbers++
		}
	}
	if numbers > 1 {
		errs = append(errs, errors.New("at most one of number, count and json may be given"))
	}
	if _, err := c.compile(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// String says what is asked, without passwords.
func (c Call) String() string {
	switch {
	case c.HTTP != "":
		method := c.Method
		if method == "" {
			method = "GET"
		}
		return method + " " + c.HTTP
	case c.TCP != "":
		return "tcp " + c.TCP
	default:
		words := slices.Clone(c.Exec)
		for i, w := range words {
			if strings.Contains(w, "\n") {
				words[i] = "…" // a script
			}
		}
		return strings.Join(words, " ")
	}
}

// patterns are the compiled expressions of a call; nil where there is none.
type patterns struct {
	expect, refuse, number, count, tls *regexp.Regexp
}

func (c Call) compile() (patterns, error) {
	var p patterns
	var errs []error
	for _, x := range []struct {
		name, text string
		into       **regexp.Regexp
	}{{"expect", c.Expect, &p.expect}, {"refuse", c.Refuse, &p.refuse}, {"number", c.Number, &p.number}, {"count", c.Count, &p.count}, {"tls", c.TLS, &p.tls}} {
		if x.text == "" {
			continue
		}
		re, err := regexp.Compile(x.text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", x.name, err))
		}
		*x.into = re
	}
	return p, errors.Join(errs...)
}

// asks reports whether the answer matters at all.
func (c Call) asks() bool {
	return c.Expect != "" || c.Refuse != "" || c.Number != "" || c.Count != "" || c.JSON != ""
}

// judge reads an answer as the call wants it read.
func (c Call) judge(text string, p patterns) (Answer, error) {
	a := Answer{Text: text}
	if p.refuse != nil {
		if m := p.refuse.FindString(text); p.refuse.MatchString(text) {
			return a, fmt.Errorf("answered %s, which is refused (%s)", shorten(text), shorten(m))
		}
	}
	if p.expect != nil && !p.expect.MatchString(text) {
		return a, fmt.Errorf("answered %s, which does not match %q", shorten(text), c.Expect)
	}
	var err error
	switch {
	case p.number != nil:
		m := p.number.FindStringSubmatch(text)
		if m == nil {
			return a, fmt.Errorf("answered %s, which has no number that matches %q", shorten(text), c.Number)
		}
		a.Number, err = toInt(m[min(1, len(m)-1)])
	case p.count != nil:
		a.Number, a.Texts = distinct(p.count, text)
	case c.JSON != "":
		a.Number, err = jsonNumber(text, c.JSON)
	default:
		return a, nil
	}
	if err != nil {
		return a, fmt.Errorf("answered %s: %w", shorten(text), err)
	}
	a.HasNumber = true
	return a, nil
}

// toInt also takes whole numbers in the forms that metrics have: "3.0", "3e+00".
func toInt(s string) (int, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	return int(f), nil
}

// jsonNumber follows a dotted path through a JSON document.
func jsonNumber(text, path string) (int, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return 0, fmt.Errorf("it is not JSON: %w", err)
	}
	for key := range strings.SplitSeq(path, ".") {
		if key == "" {
			continue
		}
		next, ok := child(v, key)
		if !ok {
			return 0, fmt.Errorf("it has no %q on the way %q", key, path)
		}
		v = next
	}
	switch v := v.(type) {
	case json.Number:
		return toInt(v.String())
	case string:
		return toInt(v)
	case []any:
		return len(v), nil
	case map[string]any:
		return len(v), nil
	}
	return 0, fmt.Errorf("%q is not a number, list or object in it", path)
}

func child(v any, key string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		next, ok := v[key]
		return next, ok
	case []any:
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= len(v) {
			return nil, false
		}
		return v[i], true
	}
	return nil, false
}

// shorten quotes a text for an error message: one line, and of a long one the beginning and the end, where programs say why they failed.
func shorten(text string) string {
	const longest, head = 300, 100
	text = strings.TrimSpace(text)
	if text == "" {
		return "nothing"
	}
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:head], "") + "…" + strings.ToValidUTF8(text[len(text)-(longest-head):], "")
	}
	return strconv.Quote(text)
}

// distinct counts the matches, or the different texts of the first group where there is one, which it returns, sorted.
func distinct(re *regexp.Regexp, text string) (int, []string) {
	all := re.FindAllStringSubmatch(text, -1)
	if re.NumSubexp() == 0 {
		return len(all), nil
	}
	var texts []string
	for _, m := range all {
		texts = append(texts, m[1])
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	return len(texts), texts
}
