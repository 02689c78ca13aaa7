package plan

import (
	"fmt"
	"path/filepath"
	"slices"

	"onemore/launcher/internal/template"
)

// Service is a helper process of the cluster.
type Service struct {
	Name      string   `json:"name"`
	Command   []string `json:"command"`
	Env       []string `json:"env"`
	Folder    string   `json:"folder"`
	Log       string   `json:"log"`
	Files     []File   `json:"files,omitempty"`     // written into its folder before each start
	Listeners []string `json:"listeners,omitempty"` // of Plan.Shared
	Restart   string   `json:"restart,omitempty"`   // "on-failure", "always"; "" never
	Refresh   string   `json:"refresh,omitempty"`   // the signal at which it reads its files again; "" it is restarted
}

// ServiceFolder is the name of the folder of a cluster's service, counted from 0, in the place of a node's number.
func ServiceFolder(i int) string {
	if i == 0 {
		return "service"
	}
	return fmt.Sprintf("service%d", i+1)
}

// ListenersOf are the shared listeners of a service.
func (p *Plan) ListenersOf(s *Service) []Listener {
	var out []Listener
	for _, l := range p.Shared {
		if slices.Contains(s.Listeners, l.Name) {
			out = append(out, l)
		}
	}
	return out
}

// Upgrade gives a plan that an older onemore has recorded the form of this one.
func (p *Plan) Upgrade() {
	if p.Service == nil {
		return
	}
	s := *p.Service
	s.Name, s.Folder = "service", filepath.Join(p.Dir, ServiceFolder(0))
	for _, l := range p.Shared {
		s.Listeners = append(s.Listeners, l.Name)
	}
	p.Services, p.Service = []Service{s}, nil
}

// services makes the cluster's services for its nodes as they will be.
func (x *expander) services() error {
	nodes := slices.Concat(x.formed, x.added)
	if len(nodes) == 0 {
		return nil
	}
	slices.SortFunc(nodes, func(a, b *template.Node) int { return a.Index - b.Index })
	d := x.base
	d.Node = &template.Node{Host: nodes[0].Host, Bin: x.o.Bin}
	d.N, d.Nodes, d.Seeds, d.First = len(nodes), nodes, nodes, nodes[0]
	x.p.Services = nil
	for i := range x.t.Services {
		s, err := x.service(i, &x.t.Services[i], &d)
		if err != nil {
			return fmt.Errorf("plan service %q: %w", x.t.Services[i].Name, err)
		}
		x.p.Services = append(x.p.Services, s)
	}
	return nil
}

func (x *expander) service(i int, t *template.Service, d *template.Data) (s Service, err error) {
	s = Service{Name: t.Name, Listeners: t.Listeners, Refresh: t.Refresh}
	if t.Restart != "never" {
		s.Restart = t.Restart
	}
	folder := ServiceFolder(i)
	s.Folder, s.Log = filepath.Join(x.p.Dir, folder), filepath.Join(x.p.Dir, folder+".log")
	if s.Command, err = x.t.ExpandArgs(t.Command, d); err != nil {
		return s, err
	}
	if s.Env, err = x.environment(d, t.Environment, nil, x.o.Env); err != nil {
		return s, err
	}
	for _, f := range t.Files {
		text, err := x.t.Expand(f.Text, d)
		if err != nil {
			return s, err
		}
		mode, err := f.Perm()
		if err != nil {
			return s, err
		}
		s.Files = append(s.Files, File{Path: f.Path, Text: text, Mode: mode})
	}
	return s, nil
}
