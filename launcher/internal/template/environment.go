package template

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// ownKey is the key of [environment] that is no variable: the variables that the server and its tools read.
const ownKey = "own"

// environmentTable is [environment] as it is written.
type environmentTable struct {
	own       []string
	variables map[string]string
}

// UnmarshalTOML takes the table apart: one list, and texts.
func (e *environmentTable) UnmarshalTOML(v any) error {
	table, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("environment is a table: [environment]")
	}
	e.variables = make(map[string]string, len(table))
	for _, name := range slices.Sorted(maps.Keys(table)) {
		switch value := table[name].(type) {
		case string:
			if name == ownKey {
				return fmt.Errorf("environment.own is a list of names: own = [%q]", value)
			}
			e.variables[name] = value
		case []any:
			if name != ownKey {
				return fmt.Errorf("environment.%s is a list; give one text", name)
			}
			for _, item := range value {
				pattern, ok := item.(string)
				if !ok {
					return fmt.Errorf("environment.own has %v in it, which is no name", item)
				}
				e.own = append(e.own, pattern)
			}
		default:
			return fmt.Errorf("environment.%s is %v; give a text: %s = \"%v\"", name, value, name, value)
		}
	}
	return nil
}

var ownPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\*?$`) })

func (t *checker) checkEnvironment() {
	for i, pattern := range t.OwnEnvironment {
		if !ownPattern().MatchString(pattern) {
			t.found.add(fmt.Sprintf("environment.own[%d]", i), "%q is neither the name of a variable nor the beginning of some, such as \"SERVER_*\"", pattern)
		}
	}
	for name := range t.Client.Environment {
		key := "client.environment." + name
		switch {
		case !clientVariable().MatchString(name):
			t.found.add(key, "the name of a variable has upper case letters, digits and _ only")
		case slices.Contains(takenVariables, name) || slices.ContainsFunc(t.Listeners, func(l Listener) bool { return strings.EqualFold(l.Name, name) }):
			t.found.add(key, "ONEMORE_%s means something else", name)
		}
	}
}

var clientVariable = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`) })

// takenVariables are those that `onemore env` has of every cluster and node.
var takenVariables = []string{"CLUSTER", "TEMPLATE", "NODES", "HOME", "NAME", "DIR", "ROLE"}
