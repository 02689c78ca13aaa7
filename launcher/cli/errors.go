package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"onemore/launcher"
	"onemore/launcher/internal/nearest"
)

// problem is an error as people read it, and with --json programs.
type problem struct {
	Error string   `json:"error"`
	Hint  string   `json:"hint,omitempty"`
	Logs  string   `json:"logs,omitempty"` // the folder in which the logs were kept
	Log   []string `json:"log,omitempty"`  // the lines that show it
	code  int
}

// report says what went wrong on stderr and returns the exit code.
func (c *call) report(ctx context.Context, err error) int {
	p := c.describe(ctx, err)
	if c.json {
		if b, err := json.Marshal(p); err == nil {
			fmt.Fprintf(c.Stderr, "%s\n", b)
		}
		return p.code
	}
	c.say("error", p.Error)
	for _, l := range p.Log {
		fmt.Fprintf(c.Stderr, "  | %s\n", l)
	}
	if p.Logs != "" {
		c.say("hint", "the logs are in "+p.Logs)
	}
	if p.Hint != "" {
		c.say("hint", p.Hint)
	}
	return p.code
}

// describe puts an error into words. ctx tells whether the command was interrupted.
func (c *call) describe(ctx context.Context, err error) problem {
	interrupted := ctx.Err() != nil
	if fail, ok := errors.AsType[*launcher.Failure](err); ok {
		if interrupted || fail.Interrupted {
			return describeInterrupted(fail)
		}
		p := problem{Error: fail.Error(), Hint: c.ofCluster(fail.Hint), Logs: fail.Logs, Log: fail.Log, code: exitFailed}
		if fail.Input {
			p.code = exitUsage
		}
		return p
	}
	if interrupted {
		return problem{Error: "interrupted", code: exitInterrupted}
	}
	if in, ok := errors.AsType[*launcher.InputError](err); ok {
		return problem{Error: in.Error(), Hint: in.Hint, code: exitUsage}
	}
	p := problem{Error: err.Error(), code: exitFailed}
	if errors.Is(err, launcher.ErrNoCluster) {
		p.Hint = noClusterHint(c)
	}
	return p
}

func describeInterrupted(fail *launcher.Failure) problem {
	p := problem{Error: "interrupted", Hint: fail.Hint, code: exitInterrupted}
	switch {
	case fail.Hint != "": // it stopped half way, and the hint says what is left to do
		p.Error += ": " + strings.TrimPrefix(fail.Error(), "interrupted; ")
	case fail.Undone:
		p.Error += "; what was begun is undone"
	}
	return p
}

// noClusterHint is the way out where there is no such cluster: another of a like name, or what there is.
func noClusterHint(c *call) string {
	name, err := c.clusterName()
	if err != nil {
		return ""
	}
	names, err := launcher.Names()
	if near := nearest.Hint(name, names, quoted("-c %s")); near != "" && err == nil {
		return near
	}
	if len(names) == 1 && c.cluster == "" {
		return fmt.Sprintf("there is one called %s: -c %s", names[0], names[0])
	}
	return "`onemore ls` lists what there is, `onemore up` makes one"
}

// ofCluster adds -c to the commands in a hint, where the command line has it.
func (c *call) ofCluster(hint string) string {
	if c.cluster == "" || c.cluster == os.Getenv(clusterVariable) {
		return hint
	}
	aboutCluster := regexp.MustCompile("`onemore (up|down|add|remove|stop|start|restart|kill|resume|logs|upgrade|status)\\b")
	return aboutCluster.ReplaceAllString(hint, "`onemore -c "+c.cluster+" $1")
}

// wantsJSON tells whether the arguments before a -- ask for JSON.
func wantsJSON(args []string) bool {
	if at := slices.Index(args, "--"); at >= 0 {
		args = args[:at]
	}
	return slices.ContainsFunc(args, func(a string) bool {
		value, ok := strings.CutPrefix(a, "--json=")
		yes, _ := strconv.ParseBool(value) // what is no bool is no yes
		return a == "--json" || ok && yes
	})
}

func (c *call) say(kind, text string) {
	fmt.Fprintf(c.Stderr, "onemore: %s: %s\n", kind, strings.TrimSpace(text))
}
