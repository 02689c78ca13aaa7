package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	texttemplate "text/template"
)

// texts holds every text of a template, parsed once: plans expand the same few texts for every node.
type texts struct {
	root  *texttemplate.Template
	bySrc map[string]*text
}

type text struct {
	parsed     *texttemplate.Template
	names      map[string]bool // what it reads of its data, at the first level: "Peer", "Port"; "." for all of it
	sameForAll bool            // reads nothing of perNode
	readsStack bool            // reads another cluster of the stack
}

// perNode are the names whose values differ between the nodes of one new cluster.
var perNode = [...]string{".", "Index", "NameIndex", "Number", "Role", "Name", "Salt", "Host", "Dir", "Folder", "Bin", "Port", "Addr", "URL", "Others", "Peer"}

func newTexts() *texts {
	return &texts{
		root:  texttemplate.New("").Option("missingkey=error").Funcs(functions()),
		bySrc: make(map[string]*text),
	}
}

// functions are what texts may call besides text/template's own. next ends one argument of a command and begins the
// next: in a command, one text may so become several arguments.
func functions() texttemplate.FuncMap {
	return texttemplate.FuncMap{
		"add": func(a, b int) int { return a + b },
		"sub": func(a, b int) int { return a - b },
		"mul": func(a, b int) int { return a * b },
		"div": func(a, b int) (int, error) {
			if b == 0 {
				return 0, errors.New("div by 0")
			}
			return a / b, nil
		},
		"mod": func(a, b int) (int, error) {
			if b == 0 {
				return 0, errors.New("mod by 0")
			}
			return a % b, nil
		},
		"int":      strconv.Atoi,
		"quote":    quote,
		"userinfo": func(user, password string) string { return url.UserPassword(user, password).String() },
		"replace":  func(old, with, s string) string { return strings.ReplaceAll(s, old, with) },
		"inDir": func(dir, name string) string {
			if name == "" || path.IsAbs(name) {
				return name
			}
			return path.Join(dir, name)
		},
		"next": func() string { return nextArgument },
		// A text that calls it calls $.Stack: see readStack.
		stackFunction: func(string) (*Stacked, error) { return nil, errors.New("there is no stack here") },
	}
}

const nextArgument = "\x00" // can't stand in an argument, whatever else does

// quote gives a string in the double quotes that JSON, TOML and HOCON share.
func quote(s string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// isText reports whether a string has anything to expand.
func isText(s string) bool { return strings.Contains(s, "{{") }

// add parses a text, unless it is known already.
func (t *texts) add(src string) (*text, error) {
	if known := t.bySrc[src]; known != nil {
		return known, nil
	}
	parsed, err := t.root.New(fmt.Sprintf("text %d", len(t.bySrc))).Parse(src)
	if err != nil {
		return nil, plainError(err)
	}
	one := &text{parsed: parsed, readsStack: readStack(parsed)}
	one.names = rootNames(parsed.Tree.Root)
	one.sameForAll = !slices.ContainsFunc(perNode[:], func(name string) bool { return one.names[name] })
	t.bySrc[src] = one
	return one, nil
}

// Expand expands a text of this template with *Data, URLData, NameData or WhenData as its place demands.
func (t *Template) Expand(src string, data any) (string, error) {
	if !isText(src) {
		return src, nil
	}
	if t.texts == nil || t.texts.bySrc[src] == nil {
		return "", fmt.Errorf("expand %q: not a text of template %q", src, t.Name)
	}
	var b strings.Builder
	if err := t.texts.bySrc[src].parsed.Execute(&b, data); err != nil {
		return "", fmt.Errorf("expand %q: %w", src, plainError(err))
	}
	return b.String(), nil
}

// ExpandArgs expands the arguments of a command. A text that becomes "" is no argument; {{next}} splits a text into
// several. Arguments that are no texts stay as they are.
func (t *Template) ExpandArgs(args []string, data any) ([]string, error) {
	var out []string
	for _, arg := range args {
		if !isText(arg) {
			out = append(out, arg)
			continue
		}
		s, err := t.Expand(arg, data)
		if err != nil {
			return nil, err
		}
		for one := range strings.SplitSeq(s, nextArgument) {
			if one != "" {
				out = append(out, one)
			}
		}
	}
	return out, nil
}

// Reads reports whether a text reads {{.NAME}} of its data.
func (t *Template) Reads(src, name string) bool {
	if !isText(src) || t.texts == nil || t.texts.bySrc[src] == nil {
		return false
	}
	return t.texts.bySrc[src].names[name]
}

// SameForAll reports whether a text expands to the same string for all nodes that are planned together for a new cluster.
func (t *Template) SameForAll(src string) bool {
	if !isText(src) {
		return true
	}
	return t.texts != nil && t.texts.bySrc[src] != nil && t.texts.bySrc[src].sameForAll
}

var templateWords = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^template: [^:]*:(\d+:)*\s*(executing "[^"]*" )?`) })

// plainError takes text/template's own words off an error: people know their text by its place and its source.
func plainError(err error) error {
	if bad, ok := errors.AsType[texttemplate.ExecError](err); ok {
		err = bad.Err
	}
	return errors.New(templateWords().ReplaceAllString(err.Error(), ""))
}
