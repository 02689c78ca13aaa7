package schema

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"onemore/launcher/internal/nearest"
)

// Check tells add what of a value, as TOML is read into any, is not as the schema says: a value of another type, or a key that is
// not known. A key is given by its parts, of which that of a list's element is [N]; the keys of a table come in order.
func (s *Schema) Check(value any, add func(key []string, text string)) { s.check(nil, value, add) }

// Path is a key in one text, such as edit[1].set.
func Path(key []string) string { return strings.ReplaceAll(strings.Join(key, "."), ".[", "[") }

func (s *Schema) check(key []string, value any, add func(key []string, text string)) {
	if len(s.AnyOf) > 0 {
		if !slices.ContainsFunc(s.AnyOf, func(one *Schema) bool { return one.fits(value) }) {
			add(key, s.Description+", not "+is(value))
		}
		return
	}
	kind := kindOf(value)
	if list, ok := value.([]map[string]any); ok { // an array of tables
		items := make([]any, len(list))
		for i, one := range list {
			items[i] = one
		}
		value = items
	}
	if kind == "integer" && s.Pattern == DurationPattern {
		add(key, noTime(fmt.Sprint(value)))
		return
	}
	if kind == "object" && s.Type == "array" && s.Items.Type == "object" {
		add(key, "is a list: write [["+Path(key)+"]], also for one")
		return
	}
	if kind != s.Type && (s.Type != "number" || kind != "integer") {
		add(key, mismatch(s.Type, value))
		return
	}
	switch value := value.(type) {
	case string:
		if s.Pattern == DurationPattern && !regexp.MustCompile(s.Pattern).MatchString(value) {
			add(key, noTime(value))
		}
	case []any:
		for i, one := range value {
			s.Items.check(append(slices.Clone(key), "["+strconv.Itoa(i)+"]"), one, add)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			s.checkKey(key, name, value[name], add)
		}
	}
}

// noTime says that a text is no time, and how one is written.
func noTime(text string) string {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return fmt.Sprintf("%q: %s what? write %q", text, text, text+"s")
	}
	return fmt.Sprintf(`%q is no time: write "30s", "5m" or "1h30m"`, text)
}

// fits tells whether a value has no problem.
func (s *Schema) fits(value any) bool {
	ok := true
	s.check(nil, value, func([]string, string) { ok = false })
	return ok
}

// checkKey checks one key of a table.
func (s *Schema) checkKey(table []string, name string, value any, add func(key []string, text string)) {
	key := append(slices.Clone(table), name)
	of := s.Properties[name]
	if of == nil {
		of = s.Others
	}
	if of != nil {
		of.check(key, value, add)
		return
	}
	text := "unknown key"
	if hint := nearest.Hint(name, slices.Sorted(maps.Keys(s.Properties)), strconv.Quote); hint != "" {
		text += "; " + hint
	}
	add(key, text)
}
