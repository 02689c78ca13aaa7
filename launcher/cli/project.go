package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

// noProject is what --project takes to read no file.
const noProject = "none"

// projectFlags adds the flag --project to every command that is about one cluster; short -f, unless -f has another meaning.
func projectFlags(c *call, root *cobra.Command) {
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "ls", "gc", "templates", "learn", "init", "node", "version":
			continue // about no single cluster
		}
		short := "f"
		if cmd.Flags().ShorthandLookup("f") != nil {
			short = ""
		}
		flags := cmd.Flags()
		if cmd.Name() == "snapshot" || cmd.Name() == "export" {
			flags = cmd.PersistentFlags() // its own commands are about a cluster
		}
		flags.StringVarP(&c.project, "project", short, os.Getenv("ONEMORE_PROJECT"),
			"the project's file (default: "+launcher.ProjectFile+" here or in the nearest folder above); \"none\" reads none")
		flags.StringVar(&c.stack, "stack", os.Getenv(stackVariable), "name of the stack (default: the project's): another name is another copy of it")
	}
}

// readProject reads the project file: that of this folder, or of the nearest folder above, which is said once. The project is empty
// where there is none.
func (c *call) readProject() (*launcher.Project, error) {
	if c.project == noProject {
		return &launcher.Project{}, nil
	}
	path := c.project
	if path == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		if path = launcher.FindProject(dir); path == "" {
			return &launcher.Project{}, nil
		}
		if filepath.Dir(path) != dir && !c.quiet && !c.saidProject {
			fmt.Fprintf(c.Stderr, "onemore: project %s\n", path)
			c.saidProject = true
		}
	}
	return launcher.ReadProject(path)
}

// clusterName is the cluster that a command is about: -c, else ONEMORE_CLUSTER, else the project's, else "default".
func (c *call) clusterName() (string, error) {
	if err := c.checkCluster(); err != nil {
		return "", err
	}
	p, s, err := c.surroundings()
	if err != nil && c.cluster == "" {
		return "", err
	}
	switch {
	case s != nil && c.cluster == "":
		return "", &launcher.InputError{Err: fmt.Errorf("stack %q has several clusters", s.Name), Hint: "name one with -c: " + strings.Join(s.Names(), ", ")}
	case s != nil && s.Has(c.cluster):
		return s.Full(c.cluster), nil
	case c.cluster != "":
		return c.cluster, nil
	}
	return cmp.Or(p.Cluster, "default"), nil
}

// stackVariable names the stack where --stack does not.
const stackVariable = "ONEMORE_STACK"

// surroundings are the project and the stack that a command is called in; the stack is nil where there is none.
func (c *call) surroundings() (*launcher.Project, *launcher.Stack, error) {
	p, err := c.readProject()
	if err != nil {
		return &launcher.Project{}, nil, err
	}
	switch {
	case p.Stack != nil && c.stack != "":
		s, err := p.Stack.Rename(c.stack)
		return p, s, err
	case p.Stack != nil:
		return p, p.Stack, nil
	case p.Path != "" && c.stack != os.Getenv(stackVariable):
		return p, nil, &launcher.InputError{Err: fmt.Errorf("--stack %s: %s has no stack", c.stack, p.Path), Hint: "leave it out, or read no file with --project none"}
	case p.Path != "":
		return p, nil, nil
	case c.stack != "":
		s, err := launcher.OpenStack(c.stack)
		return p, s, err
	}
	if cl, err := launcher.Open(cmp.Or(c.cluster, "default"), launcher.Options{}); err == nil && cl != nil {
		return p, nil, nil
	}
	s, err := launcher.OpenStack("default")
	if errors.Is(err, launcher.ErrNoCluster) {
		return p, nil, nil
	}
	return p, s, err
}

// wholeStack is the stack that a command is about; nil where it is about one cluster.
func (c *call) wholeStack() (*launcher.Stack, error) {
	if c.cluster != "" {
		return nil, nil
	}
	_, s, err := c.surroundings()
	return s, err
}

// checkCluster refuses an invalid cluster name from the environment, and says where it is from.
func (c *call) checkCluster() error {
	if c.cluster == "" || c.cluster != os.Getenv(clusterVariable) {
		return nil
	}
	if err := launcher.ValidName(c.cluster); err != nil {
		return &launcher.InputError{Err: fmt.Errorf("%s: %w", clusterVariable, err), Hint: "set " + clusterVariable + " to another name, or unset it"}
	}
	return nil
}

func initCommand(c *call) *cobra.Command {
	var o launcher.Options
	cmd := &cobra.Command{Use: "init [N]", Short: "Write a commented " + launcher.ProjectFile + " for the cluster of this project", Args: takes(0, 1),
		Example: "  onemore init\n  onemore init 5 -t onemore",
		Long:    "init writes a commented " + launcher.ProjectFile + " into this folder; it replaces none. `onemore up` alone then brings up that cluster,\nand every command in this folder is about it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := parseCount(cmd, args, &o); err != nil {
				return err
			}
			if o.Template != "" {
				if _, err := launcher.TemplateText(o.Template); err != nil {
					return err
				}
			}
			o.Cluster = c.cluster
			if err := launcher.InitProject(launcher.ProjectFile, o); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(map[string]string{"file": launcher.ProjectFile})
			}
			_, err := fmt.Fprintf(c.Stdout, "wrote %s; `onemore up` brings up what it says\n", launcher.ProjectFile)
			return err
		}}
	cmd.Flags().StringVarP(&o.Template, "template", "t", "", templateUsage)
	cmd.Flags().StringVarP(&o.Source, "source", "s", "", "the node directory to copy")
	return cmd
}
