package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func envCommand(c *call) *cobra.Command {
	var format string
	cmd := &cobra.Command{Use: "env", Short: "Every address of the cluster, for a shell or a test run", Args: takes(0, 0),
		Example: "  eval \"$(onemore env)\"\n  onemore env --format dotenv > .env",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"shell", "dotenv", "json"}, format) {
				return &launcher.InputError{Err: fmt.Errorf("--format %q", format), Hint: "use shell, dotenv or json"}
			}
			cl, err := c.open(0, nil)
			if err != nil {
				return err
			}
			p, err := cl.Plan()
			if err != nil {
				return err
			}
			if c.json {
				format = "json"
			}
			return printEnv(c, launcher.Environment(p), format)
		}}
	cmd.Flags().StringVar(&format, "format", "shell", "shell (export lines), dotenv, or json")
	return cmd
}

func printEnv(c *call, vars []launcher.Variable, format string) error {
	switch format {
	case "json":
		m := map[string]string{}
		for _, v := range vars {
			m[v.Name] = v.Value
		}
		return c.printJSON(m)
	case "shell", "dotenv":
		for _, v := range vars {
			if format == "shell" {
				fmt.Fprintf(c.Stdout, "export %s=%s\n", v.Name, shellQuote(v.Value))
			} else {
				fmt.Fprintf(c.Stdout, "%s=%s\n", v.Name, dotenvQuote(v.Value))
			}
		}
	}
	return nil
}

// dotenvQuote quotes as all readers of .env files understand: single quotes, within which nothing is special, or double quotes
// around a text that has a single quote.
func dotenvQuote(s string) string {
	if strings.Contains(s, "'") {
		return `"` + s + `"`
	}
	return shellQuote(s)
}

// shellQuote quotes a value for a shell, if it needs to be.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,@+=") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
