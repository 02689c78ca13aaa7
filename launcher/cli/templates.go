package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onemore/docs"
	"onemore/launcher"
)

func templatesCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{Use: "templates", Short: "What can be launched; show or check a template", Args: takes(0, 0),
		Example: "  onemore templates\n  onemore templates show onemore",
		RunE:    func(*cobra.Command, []string) error { return runTemplates(c) }}
	cmd.AddCommand(templatesShowCommand(c), checkCommand(c))
	return cmd
}

func templatesShowCommand(c *call) *cobra.Command {
	var text, schema bool
	cmd := &cobra.Command{Use: "show TEMPLATE", Short: "What a template says: settings, listeners, how nodes join", Args: takes(0, 1),
		ValidArgsFunction: completeFirst(completeTemplates),
		Example:           "  onemore templates show onemore\n  onemore templates show onemore --toml > mine.toml\n  onemore templates show --schema > template.schema.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case schema:
				b, err := docs.FS.ReadFile("schema/template.json")
				if err != nil {
					return err
				}
				_, err = c.Stdout.Write(b)
				return err
			case len(args) == 0:
				return takes(1, 1)(cmd, args)
			case text:
				b, err := launcher.TemplateText(args[0])
				if err != nil {
					return err
				}
				_, err = c.Stdout.Write(b)
				return err
			}
			return showTemplate(cmd.Context(), c, args[0])
		}}
	cmd.Flags().BoolVar(&text, "toml", false, "print its text, to begin one of your own with")
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of templates, for editors (`#:schema ./template.schema.json`)")
	return cmd
}

func runTemplates(c *call) error {
	list, broken := launcher.Templates()
	if list == nil {
		return broken
	}
	if c.json {
		return errors.Join(broken, c.printJSON(list))
	}
	tw := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TEMPLATE\tHERE\tPORTS OF NODE 1\tWHAT IT IS")
	for _, t := range list {
		what := t.Summary
		if t.From != launcher.BuiltIn {
			what += " (" + t.From + ")"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", t.Name, here(t), ports(t, 3), what)
	}
	if err := tw.Flush(); err != nil {
		return errors.Join(broken, err)
	}
	for _, t := range list {
		if !t.Found {
			fmt.Fprintf(c.Stdout, "%s: %s\n", t.Name, t.Install)
		}
	}
	return broken
}

// here says in a word whether a template can be launched on this machine.
func here(t launcher.TemplateInfo) string {
	switch {
	case !t.Found:
		return "no"
	case t.Source == "required":
		return "with -s DIR"
	}
	return "yes"
}

// ports are the first listeners of a template with their ports.
func ports(t launcher.TemplateInfo, most int) string {
	var out []string
	for _, l := range t.Listeners {
		if l.Port > 0 && len(out) < most {
			out = append(out, l.Name+" "+strconv.Itoa(l.Port))
		}
	}
	return strings.Join(out, ", ")
}

func showTemplate(ctx context.Context, c *call, arg string) error {
	t, err := launcher.Template(ctx, arg)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(t)
	}
	w := c.Stdout
	fmt.Fprintf(w, "%s: %s (%s)\n\n", t.Name, t.Summary, t.From)
	switch {
	case !t.Found:
		fmt.Fprintf(w, "program    missing: %s\n", t.Install)
	case t.Program != "":
		fmt.Fprintf(w, "program    %s\n", t.Program)
	}
	fmt.Fprintf(w, "source     %s\n", map[string]string{"required": "needed: -s DIR", "optional": "-s DIR, or the template's own", "none": "none"}[t.Source])
	fmt.Fprintf(w, "joins by   %s\n", strings.Join(t.Joins, " (default), "))
	if t.MinNodes > 1 {
		fmt.Fprintf(w, "nodes      %d at least\n", t.MinNodes)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\nLISTENER\tPORT OF NODE 1\tPROTOCOL")
	for _, l := range t.Listeners {
		port := l.Derive
		if port == "" {
			port = numberOrDash(l.Port)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", l.Name, port, strings.Join(l.Protocols, "+"))
	}
	if len(t.Params) > 0 {
		fmt.Fprintln(tw, "\nSETTING\tDEFAULT\tWHAT IT IS")
	}
	for _, p := range t.Params {
		value := p.Default
		if strings.Contains(value, "{{") {
			value = "as the source has it"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", p.Name, value, p.Summary)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nonemore up 3 -t %s%s\n", arg, map[bool]string{true: " -s DIR"}[t.Source == "required"])
	return err
}
