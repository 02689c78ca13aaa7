// Package topic holds the rules of MQTT topic names and filters, and a tree of filters that finds
// those matching a name. It knows no clients, sessions or nodes.
//
// Start at Tree; ParseFilter takes shared subscriptions apart.
package topic

import (
	"strings"
	"unicode/utf8"
)

// MaxLen is the longest name or filter, in bytes, that MQTT can carry.
const MaxLen = 65535

// MaxLevels is how many levels a name or filter may have: a filter costs memory on every node, by its levels.
const MaxLevels = 128

// SharePrefix starts the filter of a shared subscription.
const SharePrefix = "$share/"

// Levels returns how many levels a name or filter has.
func Levels(s string) int { return strings.Count(s, "/") + 1 }

// ValidName says whether a client may publish to the name: not empty, not too deep, no wildcard, and not below
// $SYS, which belongs to the server, nor $share.
func ValidName(name string) bool {
	if name == "" || len(name) > MaxLen || Levels(name) > MaxLevels || strings.ContainsAny(name, "+#\x00") || !utf8.ValidString(name) {
		return false
	}
	return name != "$SYS" && !strings.HasPrefix(name, "$SYS/") && !strings.HasPrefix(name, SharePrefix)
}

// ParseFilter takes the group of a shared subscription off its filter: "$share/g/a/#" is group "g", filter
// "a/#"; any other filter has group "". ok is false if the filter is not a valid one.
func ParseFilter(s string) (group, filter string, ok bool) {
	filter = s
	if strings.HasPrefix(s, SharePrefix) {
		group, filter, ok = strings.Cut(s[len(SharePrefix):], "/")
		if !ok || group == "" || strings.ContainsAny(group, "+#") {
			return "", "", false
		}
	} else if s == "$share" {
		return "", "", false
	}
	return group, filter, validFilter(filter)
}

func validFilter(f string) bool {
	if f == "" || len(f) > MaxLen || Levels(f) > MaxLevels || strings.IndexByte(f, 0) >= 0 || !utf8.ValidString(f) {
		return false
	}
	for rest, more := f, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		switch {
		case level == "#" && more:
			return false
		case len(level) > 1 && strings.ContainsAny(level, "+#"):
			return false
		}
	}
	return true
}

// Match says whether a filter (without a share group) matches a name.
func Match(filter, name string) bool {
	if name != "" && name[0] == '$' && filter != "" && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		fl, frest, fmore := strings.Cut(filter, "/")
		if fl == "#" {
			return true
		}
		nl, nrest, nmore := strings.Cut(name, "/")
		if fl != "+" && fl != nl {
			return false
		}
		switch {
		case !fmore && !nmore:
			return true
		case fmore && !nmore:
			return frest == "#"
		case !fmore:
			return false
		}
		filter, name = frest, nrest
	}
}
