package template

import (
	"errors"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"onemore/launcher/internal/confedit"
)

func (t *checker) checkListeners() {
	seen := make(map[string]bool)
	for i := range t.Listeners {
		l := &t.Listeners[i]
		key := "listeners." + l.Name
		checkListener(t.found, key, l, seen)
		switch {
		case l.IsFamily() && (l.Port != 0 || l.Derive != "" || len(l.Also) > 0):
			t.found.add(key, "a listener whose key has a * is there for each key of a source that matches; drop port, derive and also")
		case !l.IsFamily() && !(l.IfDeclared && l.Derive == "") && (l.Port == 0) == (l.Derive == ""):
			t.found.add(key, "give either port (the default of node 1) or derive (a sum of other listeners, number, index)")
		}
		t.checkListenerKey(key, l)
		checkListenerMatch(t.found, key, l)
	}
	if _, _, err := DeriveOrder(t.Listeners); err != nil {
		t.found.add("listeners", "%v", err)
	}
	for i := range t.Shared {
		l := &t.Shared[i]
		key := "shared." + l.Name
		checkListener(t.found, key, l, seen)
		if l.Port == 0 {
			t.found.add(key+".port", "is missing; a shared listener has a port of its own")
		}
		if l.Derive != "" || l.File != "" || l.Key != "" || l.Value != "" {
			t.found.add(key, "derive, file, key and value are for the listeners of nodes; drop them")
		}
	}
}

// checkListenerKey looks at where a listener stands in a config file.
func (t *checker) checkListenerKey(key string, l *Listener) {
	if (len(l.Also) > 0 || len(l.Off) > 0 || l.IfDeclared || l.Value != "") && l.Key == "" {
		t.found.add(key+".key", "is missing: also, if_declared, off and value go with file and key")
	}
	if (l.File == "") != (l.Key == "") {
		t.found.add(key+".file", "file and key belong together; give both or neither")
	}
	if l.File == "" {
		return
	}
	checkRelative(t.found, key+".file", l.File)
	t.checkFormat(key, t.FormatOf(l.File), l.File)
	for off, expr := range l.Off {
		checkRegexp(t.found, key+".off."+off, expr)
		if strings.Count(off, "*") > strings.Count(l.Key, "*") {
			t.found.add(key+".off", "%q has more * than key %q; each stands for what that of the key has found", off, l.Key)
		}
	}
}

// checkListenerMatch looks at how a listener's port is found among several in one value.
func checkListenerMatch(found *problems, key string, l *Listener) {
	if l.Match == "" {
		return
	}
	re, err := regexp.Compile(l.Match)
	switch {
	case err != nil:
		found.add(key+".match", "%v", err)
	case re.NumSubexp() != 1:
		found.add(key+".match", "%q has not just one group ( ): the one around the port", l.Match)
	case l.Key == "" || l.IsFamily() || l.Value != "":
		found.add(key+".match", "goes with file and a key without *, and without value: an [[edit]] writes the whole value")
	}
}

// checkFormat wants to know how a config file is read.
func (t *checker) checkFormat(key, format, file string) {
	switch err := confedit.CheckFormat(format); {
	case errors.Is(err, confedit.ErrProgram):
		t.found.add(key+".format", "file %q: %v", file, err)
	case err != nil:
		t.found.add(key+".format", "%q of file %q is no format; give format = one of %s", format, file, strings.Join(confedit.Formats(), ", "))
	}
}

// checkPlaces looks at the files and directories that a config names.
func (t *checker) checkPlaces() {
	for i := range t.Places {
		p, key := &t.Places[i], "places."+t.Places[i].Name
		if !listenerName().MatchString(p.Name) {
			t.found.add(key, "%q is no name; it begins with a letter and has a-z, 0-9 and _", p.Name)
		}
		checkRelative(t.found, key+".file", p.File)
		t.checkFormat(key, t.FormatOf(p.File), p.File)
		if p.Key == "" || p.Path == "" {
			t.found.add(key, "give key, which names the place in the file, and path, where it is in a node")
		}
		if p.Write == "" {
			p.Write = "outside"
		}
		checkOneOf(t.found, key+".write", p.Write, "outside", "missing", "always")
		if strings.Contains(p.Key, "*") && p.Write == "missing" {
			t.found.add(key+".write", "a key with * can't be written where it is missing; give one without")
		}
		if !isText(p.Path) && p.Path != "." {
			checkRelative(t.found, key+".path", p.Path)
		}
	}
}

func checkListener(found *problems, key string, l *Listener, seen map[string]bool) {
	switch {
	case !listenerName().MatchString(l.Name):
		found.add(key, "%q is no name; it begins with a letter and has a-z, 0-9 and _", l.Name)
	case l.Name == "number" || l.Name == "index":
		found.add(key, "%q is a word of derive; give the listener another name", l.Name)
	case seen[l.Name]:
		found.add(key, "the name is taken by another listener; give it another")
	}
	seen[l.Name] = true
	if l.Port < 0 || l.Port > 65535 {
		found.add(key+".port", "%d is no port; ports are 1 to 65535", l.Port)
	}
	if len(l.Protocols) == 0 {
		l.Protocols = []string{"tcp"}
	}
	for i, p := range l.Protocols {
		checkOneOf(found, key+".protocols", p, "tcp", "udp")
		if slices.Contains(l.Protocols[:i], p) {
			found.add(key+".protocols", "%q is there twice", p)
		}
	}
	if _, err := netip.ParseAddr(l.Bind); l.Bind != "" && err != nil {
		found.add(key+".bind", "%q is no IP address; leave it out for the node's own", l.Bind)
	}
}

func (t *checker) checkCalls() {
	t.eachCall(func(key string, c *Call) {
		if strings.HasPrefix(key, "refresh[") && c.ways() == 0 { // checkRefresh looks for what it has instead
			return
		}
		if c.isZero() && (key == "members.call" || key == "members.otherwise" || key == "start.staged" || key == "bootstrap.call" || strings.HasPrefix(key, "fault.")) {
			return
		}
		t.checkCall(key, c)
		checkCallOn(t.found, key, c)
		checkStopped(t.found, key, c)
	})
	if t.Fault.Set.isZero() != t.Fault.Clear.isZero() {
		t.found.add("fault", "give both set and clear, or neither")
	}
	for key, m := range map[string]*Call{"members.call": &t.Members.Call, "members.otherwise": &t.Members.Otherwise} {
		if !m.isZero() && m.Number == "" && m.Count == "" && m.JSON == "" {
			t.found.add(key, "reads no number of members; give number, count or json")
		}
	}
	if !t.Members.Otherwise.isZero() && t.Members.Call.When == "" {
		t.found.add("members.otherwise", "is never made; give members.call a when")
	}
}

func (t *checker) checkCall(key string, c *Call) {
	if c.ways() != 1 {
		t.found.add(key, "give exactly one of http, tcp and exec")
	}
	if c.HTTP == "" && (c.Method != "" || c.Body != "" || c.User != "" || len(c.Header) > 0) {
		t.found.add(key, "method, body, header and user go with http")
	}
	if c.Cert != "" && c.HTTP == "" && c.TLS == "" {
		t.found.add(key+".cert", "goes with http, or with tcp and tls")
	}
	if (c.Cert == "") != (c.Key == "") {
		t.found.add(key+".cert", "cert and key belong together; give both or neither")
	}
	if c.TCP == "" && c.Send != "" {
		t.found.add(key+".send", "goes with tcp")
	}
	if c.TCP == "" && c.TLS != "" {
		t.found.add(key+".tls", "goes with tcp; http has it by its URL")
	}
	if countTrue(c.Number != "", c.Count != "", c.JSON != "") > 1 {
		t.found.add(key, "give at most one of number, count and json")
	}
	if c.User != "" && !isText(c.User) && !strings.Contains(c.User, ":") {
		t.found.add(key+".user", "%q is not NAME:PASSWORD", c.User)
	}
	checkDuration(t.found, key+".timeout", c.Timeout)
	checkDuration(t.found, key+".retry", c.Retry)
	if c.Full && !strings.HasPrefix(key, "members.require") {
		t.found.add(key+".full", "is for members.require")
	}
	if c.Timeout.Duration == 0 {
		c.Timeout.Duration = defaultTimeout
		if strings.HasPrefix(key, "prepare[") {
			c.Timeout.Duration = prepareTimeout
		}
	}
	if c.On == "" {
		c.On = "self"
	}
}

// checkCallOn knows which nodes a call of this place can be made on.
func checkCallOn(found *problems, key string, c *Call) {
	switch {
	case strings.HasPrefix(key, "form["):
		checkOneOf(found, key+".on", c.On, "self", "peer", "first")
	case strings.HasPrefix(key, "prepare["):
		checkOneOf(found, key+".on", c.On, "self", "first")
	case strings.HasPrefix(key, "bootstrap"), strings.HasPrefix(key, "members"), strings.HasPrefix(key, "start"), strings.HasPrefix(key, "ready"), strings.HasPrefix(key, "upgrade"), strings.HasPrefix(key, "seed["):
		checkOneOf(found, key+".on", c.On, "self")
	default:
		checkOneOf(found, key+".on", c.On, "self", "peer")
	}
}

// ways is how many ways of asking the call has; there should be one.
func (c *Call) ways() int { return countTrue(c.HTTP != "", c.TCP != "", len(c.Exec) > 0) }

func (c *Call) isZero() bool {
	empty := true
	c.eachText(func(_, src string) { empty = empty && src == "" })
	return empty && !c.Full && !c.Stopped && c.On == "" && c.Timeout.Duration == 0 && c.Retry.Duration == 0
}

func countTrue(conditions ...bool) int {
	n := 0
	for _, yes := range conditions {
		if yes {
			n++
		}
	}
	return n
}

// listenerNames are the names of listeners, for messages and look-ups.
func listenerNames(list []Listener) []string {
	names := make(map[string]bool, len(list))
	for _, l := range list {
		names[l.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}
