package export

import (
	"cmp"
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"text/template"

	"onemore/launcher/internal/plan"
)

const (
	stateDir    = "/var/lib"
	unitDir     = "etc/systemd/system"
	defaultUser = "onemore"
	privileged  = 1024 // ports below are root's, without a capability
)

// SystemdDir is where the plan of a cluster must have its folder, so that it can be exported to systemd.
func SystemdDir(cluster string) string { return path.Join(stateDir, unitName(cluster)) }

// unitName is the name of all that belongs to a cluster: systemd has a default.target of its own.
func unitName(cluster string) string { return "onemore-" + cluster }

var (
	//go:embed systemd/node.service.tmpl
	nodeUnit string
	//go:embed systemd/cluster.target.tmpl
	targetUnit string
)

// unit is what the text of a unit sees.
type unit struct {
	Target      string   // name of the cluster's target, without its suffix
	Description string   // what it runs
	Requires    []string // units that are started before
	Type        string
	User        string
	Folders     []string // below stateDir, which are made where they are missing, and given to the user
	Workdir     string
	Environment string // file; "" for none
	Start, Stop string // command lines
	Signal      string
	Grace       float64 // seconds
	Restart     string
	LowPorts    bool // it binds ports that are root's
}

// Systemd makes units for a host with systemd: a tree that is laid over its root. The cluster's folder must be that of SystemdDir.
func Systemd(p *plan.Plan) ([]File, error) {
	if p.Dir != SystemdDir(p.Cluster) {
		return nil, fmt.Errorf("export cluster %q: it is planned in %s, not in %s", p.Cluster, p.Dir, SystemdDir(p.Cluster))
	}
	if err := check(p); err != nil {
		return nil, err
	}
	name := unitName(p.Cluster)
	var out []File
	var units, services []string
	for i := range p.Services {
		service := name + "-" + p.Services[i].Name + ".service"
		files, err := serviceUnit(p, &p.Services[i], service)
		if err != nil {
			return nil, err
		}
		out, services = append(out, files...), append(services, service)
	}
	units = slices.Clone(services)
	for i := range p.Nodes {
		service := fmt.Sprintf("%s-%d.service", name, p.Nodes[i].Index)
		files, err := nodeService(p, &p.Nodes[i], service, services)
		if err != nil {
			return nil, err
		}
		out, units = append(out, files...), append(units, service)
	}
	target, err := expand(targetUnit, map[string]any{"Cluster": p.Cluster, "Units": units})
	if err != nil {
		return nil, err
	}
	out = append(out, File{Path: path.Join(unitDir, name+".target"), Text: target, Mode: 0o644},
		File{Path: "etc/sysusers.d/onemore.conf", Text: "u " + defaultUser + " - \"Clusters that onemore has exported\" " + stateDir + "\n", Mode: 0o644})
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// nodeService are the unit of a node, and what is in its directory.
func nodeService(p *plan.Plan, n *plan.Node, name string, services []string) ([]File, error) {
	out, err := nodeFiles(n)
	if err != nil {
		return nil, err
	}
	u := unit{
		Target: unitName(p.Cluster), Description: fmt.Sprintf("node %d (%s) of cluster %s", n.Index, n.Name, p.Cluster), Requires: services,
		Type: "exec", User: cmp.Or(n.User, defaultUser), Folders: folders(n.Folder, n.Dir, n.Dirs...), Workdir: n.Workdir,
		Start: commandLine(n.Command), Stop: commandLine(n.Stop.Command), Signal: "SIG" + n.Stop.Signal, Grace: n.Stop.Grace.Seconds(), Restart: "on-failure",
		LowPorts: slices.ContainsFunc(n.Listeners, func(l plan.Listener) bool { return l.Port < privileged }),
	}
	if n.Ready.Notify {
		u.Type = "notify"
	}
	return u.files(name, out, slices.Concat(n.StartEnv, n.Env), n.Folder)
}

// serviceUnit are the unit of a helper process of the cluster, and its files.
func serviceUnit(p *plan.Plan, s *plan.Service, name string) ([]File, error) {
	var out []File
	for _, f := range s.Files {
		out = append(out, File{Path: below(path.Join(s.Folder, f.Path)), Text: f.Text, Mode: f.Mode &^ 0o077})
	}
	u := unit{
		Target: unitName(p.Cluster), Description: fmt.Sprintf("%s of cluster %s", s.Name, p.Cluster), Type: "exec", User: defaultUser,
		Folders: folders(s.Folder, s.Folder), Workdir: s.Folder, Start: commandLine(s.Command), Signal: "SIGTERM", Grace: 10, Restart: cmp.Or(s.Restart, "no"),
		LowPorts: slices.ContainsFunc(p.ListenersOf(s), func(l plan.Listener) bool { return l.Port < privileged }),
	}
	return u.files(name, out, s.Env, s.Folder)
}

// folders are the folder of a process, its directory, and what must be in that, each below stateDir.
func folders(folder, dir string, in ...string) []string {
	out := []string{folder}
	if dir != folder {
		out = append(out, dir)
	}
	for _, d := range in {
		out = append(out, path.Join(dir, d))
	}
	for i := range out {
		if out[i] = strings.TrimPrefix(out[i], stateDir+"/"); strings.ContainsAny(out[i], " \t\"'\\%") {
			out[i] = commandLine(out[i : i+1])
		}
	}
	return out
}

// files adds to the files of a process its environment and its unit.
func (u *unit) files(name string, out []File, env []string, folder string) ([]File, error) {
	if len(env) > 0 {
		u.Environment = path.Join(folder, "environment")
		out = append(out, File{Path: below(u.Environment), Text: environmentFile(env), Mode: 0o600})
	}
	u.Description, u.Workdir = percent(u.Description), percent(u.Workdir)
	text, err := expand(nodeUnit, u)
	return append(out, File{Path: path.Join(unitDir, name), Text: text, Mode: 0o644}), err
}

// commandLine is a command as a unit has it after a colon, which keeps $ from meaning anything: each word is quoted, and % doubled.
func commandLine(command []string) string {
	var words []string
	for _, w := range command {
		words = append(words, percent(quoted(w, false)))
	}
	return strings.Join(words, " ")
}

// percent keeps % from meaning anything in a unit.
func percent(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// environmentFile is a file for EnvironmentFile=, in which the later of two lines about a variable counts.
func environmentFile(env []string) string {
	var b strings.Builder
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		b.WriteString(name + "=" + quoted(value, true) + "\n")
	}
	return b.String()
}

// quoted puts a text between double quotes. A command line has newlines and tabs as escapes; a file of variables has them as they are, and
// $ and ` escaped.
func quoted(s string, inFile bool) string {
	special := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\r", `\r`)
	if inFile {
		special = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
	}
	return `"` + special.Replace(s) + `"`
}

func expand(text string, data any) (string, error) {
	t, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, data)
	return b.String(), err
}
