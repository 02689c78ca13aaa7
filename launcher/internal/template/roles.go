package template

import "strings"

// Role is one kind of node of a template, read in texts as {{.Role}}.
type Role struct {
	Name    string `toml:"-"`
	Summary string `toml:"summary"`
	Count   int    `toml:"count"` // of a cluster's nodes; 0: all that no other role has
}

// checkRoles wants names that differ, and at most one role that is that of the rest.
func checkRoles(t *Template, found *problems) {
	var rest []string
	for _, r := range t.Roles {
		key := "roles." + r.Name
		if !listenerName().MatchString(r.Name) {
			found.add(key, "%q is no name; it begins with a letter and has a-z, 0-9 and _", r.Name)
		}
		if r.Count < 0 {
			found.add(key+".count", "%d is below 0", r.Count)
		}
		if r.Count == 0 {
			rest = append(rest, r.Name)
		}
	}
	if len(rest) > 1 {
		found.add("roles", "%s have no count; all nodes but those of the other roles can have one role only", strings.Join(rest, " and "))
	}
}

// RoleNames are the names of a template's roles.
func RoleNames(t *Template) []string {
	var names []string
	for _, r := range t.Roles {
		names = append(names, r.Name)
	}
	return names
}
