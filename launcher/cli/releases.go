package cli

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func releasesCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{Use: "releases [TEMPLATE]", Short: "Versions of servers that were fetched; remove some", Args: takes(0, 1), Example: "  onemore releases\n  onemore releases onemore",
		Long: "releases lists what is in the cache ($XDG_CACHE_HOME/onemore/releases): versions that -t TEMPLATE@VERSION, --release and\n" +
			"`upgrade --release` fetched, and archives that -s named. What is checked has the digest that its vendor publishes.",
		ValidArgsFunction: completeFirst(completeTemplates),
		RunE: func(_ *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return runReleases(c, name)
		}}
	cmd.AddCommand(&cobra.Command{Use: "rm TEMPLATE@VERSION…", Short: "Remove versions from the cache", Args: atLeast(1), Example: "  onemore releases rm onemore@1.0.0",
		ValidArgsFunction: completeReleases,
		RunE: func(cmd *cobra.Command, args []string) error {
			var errs []error
			for _, which := range args {
				errs = append(errs, launcher.RemoveRelease(cmd.Context(), which))
			}
			return errors.Join(errs...)
		}})
	return cmd
}

func runReleases(c *call, name string) error {
	list, err := launcher.Releases(name)
	if err != nil {
		return err
	}
	if c.json {
		if list == nil {
			list = []launcher.Release{}
		}
		return c.printJSON(list)
	}
	tw := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	for _, r := range list {
		checked := "checked"
		if !r.Checked {
			checked = "as first fetched"
		}
		fmt.Fprintf(tw, "%s@%s\t%.1f MB\t%s\t%s\t%s\n", r.Name, r.Version, float64(r.Bytes)/1e6, r.Fetched.Local().Format(time.DateTime), checked, r.Dir)
	}
	return tw.Flush()
}

// completeReleases completes the releases in the cache.
func completeReleases(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	list, err := launcher.Releases("")
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, r := range list {
		out = append(out, r.Name+"@"+r.Version)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
