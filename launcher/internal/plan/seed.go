package plan

import (
	"fmt"

	"onemore/launcher/internal/template"
)

// seed makes the calls that a new cluster is seeded by: those of the template, then the program that was given, for which the caller sets its
// environment and its time.
func (x *expander) seed() error {
	if x.o.Formed != nil || len(x.added) == 0 {
		return nil
	}
	d := *x.addedData(0, false)
	d.Seed = x.o.Seed
	taken := false
	for i := range x.t.Seed {
		c := &x.t.Seed[i]
		takes := template.TakesSeed(x.t, c)
		if takes && (x.o.Seed == "" || x.o.SeedProgram) {
			continue
		}
		taken = taken || takes
		made, err := x.call(&d, c)
		if err != nil {
			return fmt.Errorf("plan seed: %w", err)
		}
		if made != nil {
			x.p.Seed = append(x.p.Seed, *made)
		}
	}
	switch {
	case x.o.SeedProgram:
		x.p.Seed = append(x.p.Seed, Call{Node: d.Index, Call: template.Call{Exec: []string{x.o.Seed}}})
	case x.o.Seed != "" && !taken:
		return &Refusal{Text: fmt.Sprintf("template %q has no [[seed]] that takes a file, and %s is no program", x.t.Name, x.o.Seed),
			Hint: "`chmod +x` makes it one: it is run with the addresses of `onemore env` in its environment"}
	}
	return nil
}
