package cli

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

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
		cmd.Flags().StringVarP(&c.project, "project", short, os.Getenv("ONEMORE_PROJECT"),
			"the project's file (default: "+launcher.ProjectFile+" here or in the nearest folder above); \"none\" reads none")
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
	if c.cluster != "" {
		return c.cluster, c.checkCluster()
	}
	p, err := c.readProject()
	if err != nil {
		return "", err
	}
	return cmp.Or(p.Cluster, "default"), nil
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
