package plan

import (
	"fmt"
	"slices"
	"strings"

	"onemore/launcher/internal/template"
)

// Inherit says what processes of a cluster get of the environment of who makes it.
type Inherit struct {
	// Own are the variables that the server and its tools read (template.Template.OwnEnvironment): they get only those that
	// the template and the options give.
	Own []string `json:"own,omitempty"`
	// Clean leaves no others than those of cleanEnvironment.
	Clean bool `json:"clean,omitempty"`
}

// InheritOf is that of a template's clusters.
func InheritOf(t *template.Template, o *Options) Inherit {
	return Inherit{Own: t.OwnEnvironment, Clean: o.CleanEnv}
}

// foreign are variables by which another supervisor speaks to the process that it started, and what is meant for onemore: a
// server that took them for its own would talk to the wrong one. A name that ends with * stands for all that begin so.
var foreign = []string{"ONEMORE_*", "NOTIFY_SOCKET", "LISTEN_*", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID", "MANAGERPID", "SYSTEMD_EXEC_PID",
	"SYSTEMD_UNIT", "SYSTEMD_SCOPE", "WATCHDOG_PID", "WATCHDOG_USEC", "FDSTORE", "MEMORY_PRESSURE_*", "MONITOR_*", "SUPERVISOR_*", "PEBBLE_*", "UPSTART_*"}

// cleanEnvironment is what --clean-env leaves.
var cleanEnvironment = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TERM"}

// From returns what a process of the cluster gets of an environment of NAME=VALUE: without what is foreign, what is the
// server's own, and, with Clean, all but a few. A proxy's variables stay, with hosts among those that are reached without it.
func (i Inherit) From(environ, hosts []string) []string {
	var out []string
	proxied, direct := false, []string(nil)
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if covers(foreign, name) || covers(i.Own, name) || i.Clean && !covers(cleanEnvironment, name) {
			continue
		}
		switch strings.ToUpper(name) {
		case "NO_PROXY":
			direct = append(direct, strings.Split(value, ",")...)
			continue
		case "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY":
			proxied = true
		}
		out = append(out, kv)
	}
	if proxied {
		direct = append(direct, hosts...)
		direct = append(direct, "localhost", "127.0.0.1", "::1")
	}
	if direct = distinct(direct); len(direct) > 0 {
		list := strings.Join(direct, ",")
		out = append(out, "NO_PROXY="+list, "no_proxy="+list) // both are read, by one or another
	}
	return out
}

// distinct returns the texts that are not empty, each once, in order.
func distinct(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// covers reports whether a name is one of the patterns, or begins as one that ends with *.
func covers(patterns []string, name string) bool {
	for _, p := range patterns {
		prefix, open := strings.CutSuffix(p, "*")
		if p == name || open && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Inherited is what a process of the cluster gets of an environment of NAME=VALUE.
func (p *Plan) Inherited(environ []string) []string {
	var hosts []string
	for i := range p.Nodes {
		hosts = append(hosts, p.Nodes[i].Host)
	}
	return p.Inherit.From(environ, hosts)
}

// noteLeftOut notes which variables of who makes the cluster its processes don't get, as the server would read them.
func (p *Plan) noteLeftOut(o *Options, h Host) {
	var left []string
	for _, name := range h.Variables {
		if _, given := o.Env[name]; covers(p.Inherit.Own, name) && !covers(foreign, name) && !given {
			left = append(left, name)
		}
	}
	if len(left) == 0 {
		return
	}
	slices.Sort(left)
	note := fmt.Sprintf("%s of your environment: nodes and calls don't get it, as the server reads it; --env %s=… gives it to them", strings.Join(left, ", "), left[0])
	if len(left) > 1 {
		note = fmt.Sprintf("%s of your environment: nodes and calls don't get them, as the server reads them; --env NAME=… gives them one", strings.Join(left, ", "))
	}
	if !slices.Contains(p.Notes, note) {
		p.Notes = append(p.Notes, note)
	}
}
