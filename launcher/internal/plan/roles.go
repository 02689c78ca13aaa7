package plan

import (
	"fmt"
	"slices"
	"strings"

	"onemore/launcher/internal/template"
)

// rolesOf gives the nodes that are to be made their roles, by index; nil where the template has none.
func (o *Options) rolesOf(t *template.Template) (map[int]string, error) {
	names := template.RoleNames(t)
	if err := o.checkRoles(t, names); err != nil || len(names) == 0 {
		return nil, err
	}
	missing, rest := o.missing(t)
	total := 0
	for name, n := range missing {
		if n < 0 {
			return nil, &Refusal{Text: fmt.Sprintf("%scluster %q has more nodes with the role %q than %d; `up` takes none away", o.at("roles."+name), o.Cluster, name, o.Roles[name]),
				Hint: "use `onemore remove NODE`"}
		}
		total += n
	}
	nodes := slices.Sorted(slices.Values(o.Nodes))
	switch left := len(nodes) - total; {
	case left > 0 && rest != "":
		missing[rest] += left
	case left != 0:
		return nil, &Refusal{Text: fmt.Sprintf("%d nodes are to be made, and the roles ask for %s", len(nodes), o.describe(names, missing)),
			Hint: "give as many nodes as the roles have, or --role ROLE=COUNT"}
	}
	out := make(map[int]string, len(nodes))
	for _, name := range names {
		for range missing[name] {
			out[nodes[0]], nodes = name, nodes[1:]
		}
	}
	return out, nil
}

// checkRoles refuses roles that the template does not have.
func (o *Options) checkRoles(t *template.Template, names []string) error {
	asked := []string{}
	for name := range o.Roles {
		asked = append(asked, name)
	}
	if o.Role != "" {
		asked = append(asked, o.Role)
	}
	slices.Sort(asked)
	for _, name := range asked {
		if !slices.Contains(names, name) {
			hint := "template " + t.Name + " has no roles"
			if len(names) > 0 {
				hint = "give one of " + strings.Join(names, ", ")
			}
			return &Refusal{Text: fmt.Sprintf("%stemplate %q has no role %q", o.at("roles."+name), t.Name, name), Hint: hint}
		}
	}
	return nil
}

// missing is how many nodes of each role are to be made at least, and the role of those that are left. To a formed cluster come
// those that are asked for, and of the others the ones that have been removed, as far as there is room.
func (o *Options) missing(t *template.Template) (missing map[string]int, rest string) {
	missing = map[string]int{}
	if o.Role != "" {
		return missing, o.Role
	}
	room := len(o.Nodes)
	for _, r := range t.Roles {
		count, given := o.Roles[r.Name]
		if !given {
			count = r.Count
		}
		if count == 0 && !given {
			rest = r.Name
			continue
		}
		n := count
		if o.Formed != nil {
			for i := range o.Formed.Nodes {
				if o.Formed.Nodes[i].Role == r.Name {
					n--
				}
			}
			if !given {
				n = max(0, min(n, room))
			} else if o.Places["roles."+r.Name] != "" {
				n = max(0, n) // a cluster that has more than the project file says keeps them
			}
		}
		missing[r.Name] = n
		room -= n
	}
	return missing, rest
}

// describe says how many nodes of each role there are: "3 broker, 2 controller".
func (o *Options) describe(names []string, counts map[string]int) string {
	var out []string
	for _, name := range names {
		if n, ok := counts[name]; ok {
			out = append(out, fmt.Sprintf("%d %s", n, name))
		}
	}
	if len(out) == 0 {
		return "none of them"
	}
	return strings.Join(out, ", ")
}
