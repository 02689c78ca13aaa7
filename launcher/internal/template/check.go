package template

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"onemore/launcher/internal/confedit"
)

var (
	templateName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z][a-z0-9_-]*$`) })
	listenerName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z][a-z0-9_]*$`) })
	userName     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`) })
	signalNames  = []string{"TERM", "INT", "QUIT", "HUP", "KILL", "USR1", "USR2", "ABRT"}
)

const (
	defaultTimeout = 5 * time.Second
	prepareTimeout = 5 * time.Minute // of a call of [[prepare]]: it makes data
	defaultGrace   = 10 * time.Second
)

// Check fills defaults, parses the texts and reports all that is wrong. Parse has done it; only a Template that Go code
// made itself needs it, before anything is expanded.
func (t *Template) Check() error {
	var found problems
	t.check(&found)
	return found.err(t.Name, nil)
}

// checker fills the defaults of a template and collects what is wrong with it.
type checker struct {
	*Template
	found *problems
}

func (t *Template) check(found *problems) { (&checker{t, found}).check() }

func (t *checker) check() {
	if !templateName().MatchString(t.Name) {
		t.found.add("name", "%q is no name; it begins with a letter and has a-z, 0-9, _ and -", t.Name)
	}
	t.checkMembership()
	if t.MinNodes < 0 {
		t.found.add("min_nodes", "%d is below 0", t.MinNodes)
	}
	for i, r := range t.Refuse {
		if r.When == "" || r.Reason == "" {
			t.found.add(fmt.Sprintf("refuse[%d]", i), "give when and reason")
		}
	}
	for i, n := range t.Notes {
		if n.When == "" || n.Text == "" {
			t.found.add(fmt.Sprintf("note[%d]", i), "give when and text")
		}
	}
	for file, globs := range t.Includes {
		checkRelative(t.found, "includes."+file, file)
		for i, glob := range globs {
			checkGlob(t.found, fmt.Sprintf("includes.%s[%d]", file, i), glob)
		}
	}
	t.checkParams()
	t.checkProgram()
	t.checkRelease()
	t.checkDetect()
	t.checkCopy()
	t.checkEnvironment()
	checkRoles(t.Template, t.found)
	t.checkListeners()
	t.checkPlaces()
	t.checkEdits()
	t.checkFiles()
	t.checkStart()
	t.checkJoin()
	t.checkStop()
	t.checkServices()
	t.checkCalls()
	t.checkRefresh()
	t.checkTexts()
	t.checkReleaseURLs()
}

func (t *checker) checkParams() {
	for name, p := range t.Params {
		key := "params." + name
		if !listenerName().MatchString(name) {
			t.found.add(key, "%q is no name; it begins with a letter and has a-z, 0-9 and _", name)
		}
		if p.Match == "" {
			continue
		}
		re, err := WholeMatch(p.Match)
		switch {
		case err != nil:
			t.found.add(key+".match", "%v", err)
		case p.Default != "" && !isText(p.Default) && !re.MatchString(p.Default):
			t.found.add(key+".default", "%q does not match %q", p.Default, p.Match)
		}
	}
}

// WholeMatch compiles a regexp that must match a whole value.
func WholeMatch(expr string) (*regexp.Regexp, error) { return regexp.Compile(`^(?:` + expr + `)$`) }

func (t *checker) checkProgram() {
	p := &t.Program
	for i, file := range p.Paths {
		if !path.IsAbs(file) {
			t.found.add(fmt.Sprintf("program.paths[%d]", i), "%q is not absolute; names to look up on PATH go to program.command", file)
		}
		if _, err := path.Match(file, ""); err != nil {
			t.found.add(fmt.Sprintf("program.paths[%d]", i), "%q: %v", file, err)
		}
	}
	if len(p.Paths) > 0 && p.Command == "" {
		t.found.add("program.paths", "paths without program.command; give the name that is looked up on PATH")
	}
	checkRegexp(t.found, "program.accept", p.Accept)
	if (p.Accept == "") != (len(p.Version) == 0) {
		t.found.add("program.version", "version and accept belong together; give both or neither")
	}
}

func (t *checker) checkDetect() {
	for i, glob := range t.Detect.Files {
		checkGlob(t.found, fmt.Sprintf("detect.files[%d]", i), glob)
	}
	for i, m := range t.Detect.Match {
		key := fmt.Sprintf("detect.match[%d]", i)
		checkRelative(t.found, key+".file", m.File)
		checkRegexp(t.found, key+".regexp", m.Regexp)
		if m.Regexp == "" {
			t.found.add(key+".regexp", "is missing")
		}
	}
}

func (t *checker) checkCopy() {
	c := &t.Copy
	if c.Source == "" {
		c.Source = "optional"
	}
	checkOneOf(t.found, "copy.source", c.Source, "required", "optional", "none")
	for key, globs := range map[string][]string{"copy.exclude": c.Exclude, "copy.share": c.Share, "upgrade.keep": t.Upgrade.Keep} {
		for i, glob := range globs {
			checkGlob(t.found, fmt.Sprintf("%s[%d]", key, i), glob)
		}
	}
	for i, dir := range c.Dirs {
		checkRelative(t.found, fmt.Sprintf("copy.dirs[%d]", i), dir)
	}
}

func (t *checker) checkEdits() {
	t.eachEdit(func(key string, e *Edit) {
		checkRelative(t.found, key+".file", e.File)
		if e.Format == "" {
			e.Format, _ = confedit.FormatOf(e.File)
		}
		t.checkFormat(key, e.Format, e.File)
		if len(e.Set)+len(e.Raw)+len(e.Present)+len(e.Default)+len(e.Unset) == 0 {
			t.found.add(key, "changes nothing; give set, default, raw, present or unset")
		}
		for i, pattern := range e.Unset {
			if _, err := path.Match(pattern, ""); err != nil {
				t.found.add(fmt.Sprintf("%s.unset[%d]", key, i), "%q: %v", pattern, err)
			}
		}
		for k := range e.Raw {
			if _, both := e.Set[k]; both {
				t.found.add(key+".raw", "key %q is in set and in raw; leave one of them out", k)
			}
		}
		for name, weaker := range map[string]map[string]string{"present": e.Present, "default": e.Default} {
			for k := range weaker {
				_, set := e.Set[k]
				_, raw := e.Raw[k]
				if set || raw {
					t.found.add(key+"."+name, "key %q is set anyway; leave one of them out", k)
				}
			}
		}
	})
}

func (t *checker) checkFiles() {
	for i := range t.Files {
		f, key := &t.Files[i], fmt.Sprintf("file[%d]", i)
		checkRelative(t.found, key+".path", f.Path)
		if f.Mode == "" {
			f.Mode = "0644"
		}
		if _, err := f.Perm(); err != nil {
			t.found.add(key+".mode", "%v", err)
		}
		if f.Existing == "" {
			f.Existing = "replace"
		}
		checkOneOf(t.found, key+".existing", f.Existing, "replace", "keep", "merge")
		if f.Format == "" {
			f.Format, _ = confedit.FormatOf(f.Path)
		}
		if f.Existing == "merge" {
			t.checkFormat(key, f.Format, f.Path)
		}
	}
}

// Perm is the file's mode as a number.
func (f File) Perm() (uint32, error) {
	n, err := strconv.ParseUint(f.Mode, 8, 32)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("%q is no octal mode such as 0644", f.Mode)
	}
	return uint32(n), nil
}

func (t *checker) checkStart() {
	s := &t.Start
	if len(s.Command) == 0 {
		t.found.add("start.command", "is missing: the command that runs a node in the foreground")
	}
	if s.User != "" && !userName().MatchString(s.User) {
		t.found.add("start.user", "%q is no name of a user", s.User)
	}
	if s.Order == "" {
		s.Order = "parallel"
	}
	checkOneOf(t.found, "start.order", s.Order, "parallel", "staged")
	if s.Order == "staged" && s.Staged.isZero() {
		t.found.add("start.staged", "is missing: what must answer on a node before the next one is started")
	}
	if s.Order != "staged" && !s.Staged.isZero() {
		t.found.add("start.staged", `is only asked with order = "staged"`)
	}
	if b := &t.Bootstrap; !b.Call.isZero() && len(b.Args)+len(b.Environment) == 0 {
		t.found.add("bootstrap", "does not say how a node is told to found the cluster; give args or environment")
	}
	checkRegexp(t.found, "ready.log", t.Ready.Log)
	for i, glob := range t.Ready.LogFiles {
		checkGlob(t.found, fmt.Sprintf("ready.log_files[%d]", i), glob)
	}
	checkDuration(t.found, "ready.timeout", t.Ready.Timeout)
	checkDuration(t.found, "members.timeout", t.Members.Timeout)
}

func (t *checker) checkJoin() {
	j := &t.Join
	methods := slices.Sorted(maps.Keys(j.Methods))
	if j.Default == "" {
		j.Default = "none"
		if len(methods) == 1 {
			j.Default = methods[0]
		}
		if len(methods) > 1 {
			t.found.add("join.default", "is missing; give one of %s", strings.Join(methods, ", "))
		}
	}
	if _, known := j.Methods[j.Default]; !known && j.Default != "none" {
		t.found.add("join.default", "no [join.%s] is here; have %s", j.Default, strings.Join(append(methods, "none"), ", "))
	}
	for _, method := range methods {
		if m := j.Methods[method]; method == "command" && len(m.Calls) == 0 {
			t.found.add("join.command", "has no [[join.command.call]] by which a node joins")
		}
	}
}

func (t *checker) checkStop() {
	s := &t.Stop
	if s.Signal == "" {
		s.Signal = "TERM"
	}
	if s.Discard == "" {
		s.Discard = "KILL"
	}
	checkOneOf(t.found, "stop.signal", s.Signal, signalNames...)
	checkOneOf(t.found, "stop.discard", s.Discard, signalNames...)
	if s.Order == "" {
		s.Order = "parallel"
	}
	checkOneOf(t.found, "stop.order", s.Order, "parallel", "staged", "reverse")
	checkDuration(t.found, "stop.grace", s.Grace)
	if s.Grace.Duration == 0 {
		s.Grace.Duration = defaultGrace
	}
}

func checkOneOf(found *problems, key, got string, want ...string) {
	if !slices.Contains(want, got) {
		found.add(key, "%q is unknown; give one of %s", got, strings.Join(want, ", "))
	}
}

func checkRegexp(found *problems, key, expr string) {
	if _, err := regexp.Compile(expr); err != nil {
		found.add(key, "%v", err)
	}
}

func checkDuration(found *problems, key string, d Duration) {
	if d.Duration < 0 {
		found.add(key, "%s is below 0", d.Duration)
	}
}

// checkRelative wants a path that stays inside of the node directory.
func checkRelative(found *problems, key, file string) {
	switch {
	case file == "":
		found.add(key, "is missing")
	case path.IsAbs(file) || path.Clean(file) != file || file == "." || file == ".." || strings.HasPrefix(file, "../"):
		found.add(key, "%q is not a clean slash path inside of the node directory, such as etc/server.conf", file)
	}
}

func checkGlob(found *problems, key, glob string) {
	checkRelative(found, key, strings.TrimSuffix(glob, "/"))
	if _, err := path.Match(strings.ReplaceAll(glob, "**", "*"), ""); err != nil {
		found.add(key, "%q: %v", glob, err)
	}
}
