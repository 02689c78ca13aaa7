package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func envCommand(c *call) *cobra.Command {
	var format, file string
	cmd := &cobra.Command{Use: "env", Short: "Every address of the cluster, for a shell or a test run", Args: takes(0, 0),
		Example: "  eval \"$(onemore env)\"\n  onemore env -o .env",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"shell", "dotenv", "json"}, format) {
				return &launcher.InputError{Err: fmt.Errorf("--format %q", format), Hint: "use shell, dotenv or json"}
			}
			vars, err := environmentOf(c)
			if err != nil {
				return err
			}
			if c.json {
				format = "json"
			}
			if file == "" {
				return printEnv(c.Stdout, vars, format)
			}
			if !cmd.Flags().Changed("format") && !c.json {
				format = "dotenv"
			}
			return writeEnv(file, vars, format)
		}}
	cmd.Flags().StringVarP(&file, "output", "o", "", "write them to this file, as dotenv unless --format says otherwise")
	cmd.Flags().StringVar(&format, "format", "shell", "shell (export lines), dotenv, or json")
	return cmd
}

// environmentOf is that of the stack, or of the cluster, which the command is about.
func environmentOf(c *call) ([]launcher.Variable, error) {
	s, err := c.wholeStack()
	if err != nil {
		return nil, err
	}
	if s != nil {
		return s.Environment()
	}
	cl, err := c.open(0, nil)
	if err != nil {
		return nil, err
	}
	p, err := cl.Plan()
	if err != nil {
		return nil, err
	}
	return launcher.Environment(p), nil
}

// writeEnv replaces a file; what reads it meanwhile has the old text, or the new one.
func writeEnv(file string, vars []launcher.Variable, format string) error {
	var b bytes.Buffer
	if err := printEnv(&b, vars, format); err != nil {
		return err
	}
	return launcher.WriteFile(file, b.Bytes())
}

func printEnv(w io.Writer, vars []launcher.Variable, format string) error {
	switch format {
	case "json":
		m := map[string]string{}
		for _, v := range vars {
			m[v.Name] = v.Value
		}
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(m)
	case "shell", "dotenv":
		for _, v := range vars {
			if format == "shell" {
				fmt.Fprintf(w, "export %s=%s\n", v.Name, shellQuote(v.Value))
			} else {
				fmt.Fprintf(w, "%s=%s\n", v.Name, dotenvQuote(v.Value))
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
