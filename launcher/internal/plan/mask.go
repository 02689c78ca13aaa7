package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"onemore/launcher/internal/template"
)

// masked stands for a password where a plan is shown.
const masked = "********"

// secretName matches the names of keys, parameters and variables whose values nobody should read over a shoulder.
var secretName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(pass|password|passwd|passphrase|requirepass|masterauth|_auth|secret|token|cookie|api_?key)$`)
})

// Masked is the plan as people may see it: passwords of the source and of the options are masked wherever they stand.
func (p *Plan) Masked() (*Plan, error) {
	secrets := p.secrets()
	if len(secrets) == 0 {
		return p, nil
	}
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("mask plan: %w", err)
	}
	var tree any
	if err := json.Unmarshal(b, &tree); err != nil {
		return nil, fmt.Errorf("mask plan: %w", err)
	}
	if b, err = json.Marshal(maskIn(tree, strings.NewReplacer(secrets...))); err != nil {
		return nil, fmt.Errorf("mask plan: %w", err)
	}
	out := &Plan{}
	if err := json.Unmarshal(b, out); err != nil {
		return nil, fmt.Errorf("mask plan: %w", err)
	}
	return out, nil
}

// secrets are the values to mask, in all forms in which texts write them, each followed by what is shown instead: the pairs of a
// strings.Replacer. Longer ones come first.
func (p *Plan) secrets() []string {
	var values []string
	add := func(name, value string) {
		if secretName().MatchString(name) && value != "" && value != "true" && value != "false" {
			quoted, _ := json.Marshal(value) // never fails
			values = append(values, value, string(quoted[1:len(quoted)-1]), url.QueryEscape(value), url.PathEscape(value))
			_, user, _ := strings.Cut(url.UserPassword("", value).String(), ":")
			values = append(values, user)
		}
	}
	o := &p.Options
	for _, config := range slices.Concat([]*template.Config{o.Config}, slices.Collect(maps.Values(o.Configs))) {
		if config == nil {
			continue
		}
		for _, v := range config.Keys {
			add(v.Key, v.Value)
		}
	}
	for name, value := range o.Params {
		add(name, value)
	}
	for name, value := range o.Env {
		add(name, value)
	}
	for _, n := range o.Node {
		for name, value := range n.Env {
			add(name, value)
		}
	}
	slices.SortFunc(values, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	var pairs []string
	for _, v := range slices.Compact(values) {
		pairs = append(pairs, v, masked)
	}
	return pairs
}

// maskIn masks the strings of a decoded JSON value.
func maskIn(v any, with *strings.Replacer) any {
	switch v := v.(type) {
	case string:
		return with.Replace(v)
	case []any:
		for i := range v {
			v[i] = maskIn(v[i], with)
		}
	case map[string]any:
		for key := range v {
			v[key] = maskIn(v[key], with)
		}
	}
	return v
}
