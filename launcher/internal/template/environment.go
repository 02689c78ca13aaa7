package template

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"onemore/launcher/internal/schema"
)

// ownKey is the key of [environment] that is no variable: the variables that the server and its tools read.
const ownKey = "own"

// environmentTable is [environment] as it is written.
type environmentTable struct {
	own       []string
	variables map[string]string
}

// TOMLSchema is the table: one list, and texts.
func (environmentTable) TOMLSchema() *schema.Schema {
	return &schema.Schema{Type: "object", Others: &schema.Schema{Type: "string"},
		Properties: map[string]*schema.Schema{ownKey: {Type: "array", Items: &schema.Schema{Type: "string"}}}}
}

// UnmarshalTOML takes the table apart. What it can't take, TOMLSchema tells.
func (e *environmentTable) UnmarshalTOML(v any) error {
	table, _ := v.(map[string]any)
	e.variables = make(map[string]string, len(table))
	for name, value := range table {
		if text, ok := value.(string); ok && name != ownKey {
			e.variables[name] = text
			continue
		}
		items, ok := value.([]any)
		if !ok || name != ownKey {
			return errors.New("a table of texts was wanted")
		}
		for _, item := range items {
			pattern, ok := item.(string)
			if !ok {
				return errors.New("a list of texts was wanted")
			}
			e.own = append(e.own, pattern)
		}
	}
	if table == nil {
		return errors.New("a table was wanted")
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
