package learn

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// nameAll gives the listeners names, after the keys that hold them.
func nameAll(p *proof) {
	taken := map[string]bool{"number": true, "index": true}
	for i := range p.listeners {
		f := &p.listeners[i]
		if f.Derive != "" {
			continue
		}
		f.Name = unique(p.occurrences.nameOf(*f), taken)
	}
	for i := range p.listeners {
		f := &p.listeners[i]
		if f.Derive == "" {
			continue
		}
		cut := strings.IndexAny(f.Derive[1:], "+-") + 1
		of, _ := strconv.Atoi(f.Derive[:cut])
		k := slices.IndexFunc(p.listeners, func(o Listener) bool { return o.Port == of })
		f.Derive = fmt.Sprintf("%s %s %s", p.listeners[k].Name, f.Derive[cut:cut+1], f.Derive[cut+1:])
		f.Name = unique(p.listeners[k].Name+"_derived", taken)
	}
}

func unique(name string, taken map[string]bool) string {
	try := name
	for i := 2; taken[try]; i++ {
		try = fmt.Sprintf("%s%d", name, i)
	}
	taken[try] = true
	return try
}

var (
	nameParts    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[A-Za-z][A-Za-z0-9]*`) })
	genericWords = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(ports?|listen(er|ers|ing)?|bind|addr|address(es)?|urls?|uri|host|sock(et)?|default|server|service|interface|conf|config|p|d|l|http|tcp|udp|[0-9]+)$`)
	})
)

// nameOf makes a name of the first key or option that holds a listener's port.
func (p occurrences) nameOf(f Listener) string {
	mark := token{port: f.Port}.mark()
	var texts []string
	for _, file := range p.files {
		for _, k := range file.keys {
			if strings.Contains(k.value, mark) {
				texts = append(texts, k.key)
			}
		}
	}
	for i, a := range p.args {
		if before, _, ok := strings.Cut(a, mark); ok {
			if before == "" && i > 0 {
				before = p.args[i-1]
			}
			texts = append(texts, before)
		}
	}
	for _, text := range texts {
		parts := nameParts().FindAllString(text, -1)
		slices.Reverse(parts)
		for _, part := range parts {
			if part = strings.ToLower(part); !genericWords().MatchString(part) && len(part) > 1 && len(part) < 20 {
				return part
			}
		}
	}
	switch {
	case f.speaksHTTP:
		return "http"
	case slices.Equal(f.Protocols, []string{"udp"}):
		return "udp"
	}
	return "client"
}
