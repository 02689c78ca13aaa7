package template

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// portIn reads the port of "1883", "0.0.0.0:1883", ":1883" and "tcp://127.0.0.1:1883/".
func portIn(value string) (int, bool) {
	value = strings.TrimRight(strings.TrimSpace(value), "/")
	if i := strings.LastIndex(value, ":"); i >= 0 {
		value = value[i+1:]
	}
	port, err := strconv.Atoi(value)
	return port, err == nil && port > 0 && port <= 65535
}

// portIn reads the listener's port in the value of its key.
func (l *Listener) portIn(value string) (int, bool) {
	if l.Match == "" {
		return portIn(value)
	}
	m := regexp.MustCompile(l.Match).FindStringSubmatch(value) // which was checked
	if m == nil {
		return 0, false
	}
	return portIn(m[1])
}

// schemeIn reads the scheme of "tcp://127.0.0.1:1883/".
func schemeIn(value string) string {
	scheme, _, ok := strings.Cut(strings.TrimSpace(value), "://")
	if !ok {
		return ""
	}
	return scheme
}

var (
	portKey = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)(^|[._-])(port|bind|listen)$|port$`) })
	address = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[^@/\s]*@)?(?:\[[0-9A-Fa-f:.%]+\]|\*|[A-Za-z0-9_.-]*[A-Za-z._-][A-Za-z0-9_.-]*|\d+\.\d+\.\d+\.\d+)?:(\d{1,5})(?:/.*)?$`)
	})
)

// portsIn reads the ports that a key's value names: addresses with a port, and a plain number where the key speaks of one.
func portsIn(key, value string) []int {
	var ports []int
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == ';' }) {
		text := ""
		if m := address().FindStringSubmatch(word); m != nil {
			text = m[1]
		} else if portKey().MatchString(key) {
			text = word
		}
		if port, err := strconv.Atoi(text); err == nil && port > 0 && port <= 65535 {
			ports = append(ports, port)
		}
	}
	return ports
}
