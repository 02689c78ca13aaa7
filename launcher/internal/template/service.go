package template

import (
	"fmt"
	"slices"
)

// Service is a process of the cluster that is not a node. Its texts are expanded anew when members have come or gone.
type Service struct {
	Name        string            `toml:"name"`    // default, of an only one: "service"
	Command     []string          `toml:"command"` // text; in the foreground, in the service's folder
	Environment map[string]string `toml:"environment"`
	// Files are written into the service's folder before each start.
	Files []File `toml:"file"`
	// Listeners are the shared ones that it has to open; default, of an only service: all.
	Listeners []string `toml:"listeners"`
	// Restart is what follows when it ends by itself: "never" (default), "on-failure" or "always" it is started again.
	Restart string `toml:"restart"`
	// Refresh is a signal at which it reads its files again. Without, it is restarted when one has changed.
	Refresh string `toml:"refresh"`
}

// checkServices fills the defaults of services and looks at what they have.
func (t *checker) checkServices() {
	owner := map[string]string{}
	names := map[string]bool{}
	for i := range t.Services {
		s, key := &t.Services[i], fmt.Sprintf("service[%d]", i)
		if s.Name == "" && len(t.Services) == 1 {
			s.Name = "service"
		}
		switch {
		case !listenerName().MatchString(s.Name):
			t.found.add(key+".name", "%q is no name; it begins with a letter and has a-z, 0-9 and _", s.Name)
		case names[s.Name]:
			t.found.add(key+".name", "%q is another service; give it another name", s.Name)
		}
		names[s.Name] = true
		if len(s.Command) == 0 {
			t.found.add(key+".command", "is missing: the command that runs it in the foreground")
		}
		if s.Listeners == nil && len(t.Services) == 1 {
			for _, l := range t.Shared {
				s.Listeners = append(s.Listeners, l.Name)
			}
		}
		t.checkServiceListeners(key, s, owner)
		t.checkServiceRules(key, s)
	}
}

// checkServiceListeners looks for listeners that are none, or two services'; owner is whose they are.
func (t *checker) checkServiceListeners(key string, s *Service, owner map[string]string) {
	shared := listenerNames(t.Shared)
	for j, name := range s.Listeners {
		switch at := fmt.Sprintf("%s.listeners[%d]", key, j); {
		case !slices.Contains(shared, name):
			t.found.add(at, "no shared listener is called %q; have %s", name, oneOf(shared))
		case owner[name] != "":
			t.found.add(at, "%q is opened by service %q already; leave one of them out", name, owner[name])
		}
		owner[name] = s.Name
	}
}

// checkServiceRules looks at when a service is started again, and at its files.
func (t *checker) checkServiceRules(key string, s *Service) {
	if s.Restart == "" {
		s.Restart = "never"
	}
	checkOneOf(t.found, key+".restart", s.Restart, "never", "on-failure", "always")
	if s.Refresh != "" {
		checkOneOf(t.found, key+".refresh", s.Refresh, signalNames...)
		if len(s.Files) == 0 {
			t.found.add(key+".refresh", "there is no [[service.file]] that it could read again")
		}
	}
	for j := range s.Files {
		f, at := &s.Files[j], fmt.Sprintf("%s.file[%d]", key, j)
		checkRelative(t.found, at+".path", f.Path)
		if f.Mode == "" {
			f.Mode = "0644"
		}
		if _, err := f.Perm(); err != nil {
			t.found.add(at+".mode", "%v", err)
		}
		if f.Existing != "" || f.Format != "" {
			t.found.add(at, "existing and format are for files of nodes: a service has no source")
		}
	}
}

// eachServiceText calls visit for every text of the services.
func eachServiceText(services []Service, args func(string, scope, []string), table func(string, scope, map[string]string), visit func(string, scope, string)) {
	for i, s := range services {
		key := fmt.Sprintf("service[%d]", i)
		args(key+".command", inService, s.Command)
		table(key+".environment", inService, s.Environment)
		for j, f := range s.Files {
			visit(fmt.Sprintf("%s.file[%d].text", key, j), inService, f.Text)
		}
	}
}
