package launcher

import (
	"context"

	"onemore/launcher/internal/template"
)

// Role is one kind of node of a template.
type Role = template.Role

// Roles are those of a template, by name or path.
func Roles(ctx context.Context, name string) ([]Role, error) {
	t, _, err := chooseTemplate(ctx, name, "")
	if err != nil {
		return nil, err
	}
	return t.Roles, nil
}

// Roles are those of the cluster's template.
func (c *Cluster) Roles(ctx context.Context) ([]Role, error) {
	rec, err := c.record()
	if err != nil {
		return nil, err
	}
	t, err := recordedTemplate(ctx, rec)
	if err != nil {
		return nil, err
	}
	return t.Roles, nil
}

// rolesOf is how many nodes of each role a cluster has.
func rolesOf(p *Plan) map[string]int {
	out := map[string]int{}
	for _, n := range p.Nodes {
		if n.Role != "" {
			out[n.Role]++
		}
	}
	return out
}

// fixedByRoles is how many nodes the roles make up, where the options say how many there are of each; 0: they don't.
func (o Options) fixedByRoles(t *template.Template) int {
	total := 0
	for _, r := range t.Roles {
		count, given := o.Roles[r.Name]
		if !given {
			count = r.Count
		}
		if !given && count == 0 {
			return 0
		}
		total += count
	}
	return total
}
