package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultName   = "emqx@127.0.0.1"
	defaultCookie = "emqxsecretcookie"
	defaultTick   = 120 * time.Second // in real time: a busy machine is no cut network
)

// listener is a port that the configuration asks for.
type listener struct {
	kind  string // tcp, ssl, ws, wss, management or dashboard
	label string // as the log calls it
	addr  string // HOST:PORT
}

// settings is what one node is to be, from its files and its environment.
type settings struct {
	release
	name      nodeName
	cookie    string
	dataDir   string // absolute
	discovery string
	seeds     []nodeName
	mqtt      []listener
	web       []listener
	apiID     string
	apiSecret string

	tick       time.Duration // net_ticktime: how long a peer may be silent
	autoheal   bool
	license    string // license.key
	guardStats bool   // prometheus.enable_basic_auth
}

// configs is where a start puts what it has made of the configuration: in 5.0 with the data, in 4.4 with the release.
func (s settings) configs(name ...string) string {
	dir := s.path("data")
	if s.is5() {
		dir = s.dataDir
	}
	return filepath.Join(append([]string{dir, "configs"}, name...)...)
}

// licensed says that the licence is good for more than one node. Up to 5.8 none is needed.
func (s settings) licensed() bool { return !s.since(5, 9) || s.license != "default" }

// release is what a directory says of itself in releases/emqx_vars.
type release struct {
	root    string
	version string // 4.4.19
}

// is5 says that the release is 5.0 or later: HOCON, one script, no plugins.
func (r release) is5() bool { return r.since(5, 0) }

// since reports whether the release is that version or a later one.
func (r release) since(major, minor int) bool {
	var own [2]int
	if _, err := fmt.Sscanf(r.version, "%d.%d", &own[0], &own[1]); err != nil {
		return false
	}
	return own[0] > major || own[0] == major && own[1] >= minor
}

func (r release) path(parts ...string) string {
	return filepath.Join(append([]string{r.root}, parts...)...)
}

func openRelease(root string) (release, error) {
	vars, err := os.ReadFile(filepath.Join(root, "releases", "emqx_vars"))
	if err != nil {
		return release{}, fmt.Errorf("read release: %w", err)
	}
	for line := range strings.Lines(string(vars)) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "REL_VSN="); ok {
			return release{root: root, version: strings.Trim(version, `"`)}, nil
		}
	}
	return release{}, fmt.Errorf("read release %q: no REL_VSN in releases/emqx_vars", root)
}

// load reads the release's configuration as its version does.
func (r release) load(env environment) (settings, error) {
	if r.is5() {
		return r.load50(env)
	}
	return r.load44(env)
}

// overrides are the EMQX_… variables as keys of the configuration: EMQX_NODE__NAME is node.name.
func overrides(env environment) map[string]string {
	keys := map[string]string{}
	for _, item := range env {
		name, value, _ := strings.Cut(item, "=")
		short, ok := strings.CutPrefix(name, "EMQX_")
		if !ok {
			continue
		}
		if short == "NODE_NAME" || short == "NODE_COOKIE" { // the old spelling of these two
			short = strings.Replace(short, "_", "__", 1)
		}
		keys[strings.ToLower(strings.ReplaceAll(short, "__", "."))] = value
	}
	return keys
}

func (r release) load44(env environment) (settings, error) {
	values, err := r.read44("etc/emqx.conf")
	if err != nil {
		return settings{}, err
	}
	schema, err := loadSchema44()
	if err != nil {
		return settings{}, err
	}
	if err := schema.check(values); err != nil {
		return settings{}, err
	}
	plugins, err := filepath.Glob(r.path("etc", "plugins", "*.conf"))
	if err != nil {
		return settings{}, fmt.Errorf("list plugins: %w", err)
	}
	for _, file := range plugins {
		more, err := r.read44(filepath.Join("etc", "plugins", filepath.Base(file)))
		if err != nil {
			return settings{}, err
		}
		for key, value := range more {
			values[key] = value
		}
	}
	for key, value := range overrides(env) {
		values[key] = value // one that means nothing is never looked up
	}
	return r.settings44(values)
}

func (r release) read44(file string) (map[string]string, error) {
	text, err := os.ReadFile(r.path(file))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return parseFlat(file, string(text))
}

func (r release) settings44(values map[string]string) (settings, error) {
	s := settings{
		release:   r,
		name:      nodeName(cmp.Or(values["node.name"], defaultName)),
		cookie:    cmp.Or(values["node.cookie"], defaultCookie),
		dataDir:   r.absolute(cmp.Or(values["node.data_dir"], "data")),
		discovery: cmp.Or(values["cluster.discovery"], "manual"),
		seeds:     splitSeeds(values["cluster.static.seeds"]),
		apiID:     cmp.Or(values["management.default_application.id"], "admin"),
		apiSecret: cmp.Or(values["management.default_application.secret"], "public"),
		autoheal:  cmp.Or(values["cluster.autoheal"], "on") == "on",
	}
	var errs []error
	tick, err := ticktime(values["node.dist_net_ticktime"])
	s.tick, errs = tick, append(errs, err)
	for _, key := range sortedKeys(values) {
		parts := strings.Split(key, ".")
		if len(parts) != 3 || parts[0] != "listener" || !slices.Contains([]string{"tcp", "ssl", "ws", "wss"}, parts[1]) {
			continue
		}
		addr, err := bindAddress(key, values[key])
		errs = append(errs, err)
		s.mqtt = append(s.mqtt, listener{kind: parts[1], label: "mqtt:" + parts[1] + ":" + parts[2], addr: addr})
	}
	for _, plugin := range []string{"management", "dashboard"} {
		value := values[plugin+".listener.http"]
		if value == "" || !r.pluginLoaded("emqx_"+plugin) {
			continue
		}
		addr, err := bindAddress(plugin+".listener.http", value)
		errs = append(errs, err)
		if _, port, ok := strings.Cut(addr, ":"); ok {
			addr = "0.0.0.0:" + port // these two take the port and leave the host
		}
		s.web = append(s.web, listener{kind: plugin, label: "http:" + plugin, addr: addr})
	}
	return s, errors.Join(errs...)
}

// pluginLoaded reads data/loaded_plugins; without that file, as on a first start, both plugins are on.
func (r release) pluginLoaded(plugin string) bool {
	text, err := os.ReadFile(r.path("data", "loaded_plugins"))
	if err != nil {
		return true
	}
	return strings.Contains(strings.ReplaceAll(string(text), " ", ""), "{"+plugin+",true}")
}

func (r release) load50(env environment) (settings, error) {
	all := object{}
	for _, file := range []string{"data/configs/cluster.hocon", "etc/emqx.conf"} {
		text, err := os.ReadFile(r.path(file))
		if errors.Is(err, fs.ErrNotExist) && file != "etc/emqx.conf" {
			continue
		}
		if err != nil {
			return settings{}, fmt.Errorf("read configuration: %w", err)
		}
		more, err := parseHOCON(file, string(text))
		if err != nil {
			return settings{}, err
		}
		for key, value := range more {
			set(all, []string{key}, value)
		}
	}
	given := overrides(env)
	for _, key := range sortedKeys(given) {
		value, err := parseValue("environment: "+key, given[key])
		if err != nil {
			return settings{}, err
		}
		set(all, strings.Split(key, "."), value)
	}
	return r.settings50(all)
}

func (r release) settings50(all object) (settings, error) {
	s := settings{
		release:   r,
		name:      nodeName(all.text("node.name", defaultName)),
		cookie:    all.text("node.cookie", defaultCookie),
		dataDir:   r.absolute(all.text("node.data_dir", "data")),
		discovery: all.text("cluster.discovery_strategy", "manual"),
	}
	switch seeds := all.at("cluster.static.seeds").(type) {
	case string:
		s.seeds = splitSeeds(seeds)
	case []any:
		for _, seed := range seeds {
			s.seeds = append(s.seeds, splitSeeds(fmt.Sprint(seed))...)
		}
	}
	s.autoheal = all.text("cluster.autoheal", "true") == "true"
	s.license = all.text("license.key", "default")
	s.guardStats = s.since(5, 3) && all.text("prometheus.enable_basic_auth", "false") == "true"
	tick, err := ticktime(all.text("node.dist_net_ticktime", ""))
	s.tick = tick
	errs := []error{err, s.checkStorage(all)}
	for _, kind := range []string{"tcp", "ssl", "ws", "wss"} {
		named, _ := all.at("listeners." + kind).(object)
		if named["default"] == nil {
			named = object{"default": object{}}
		}
		for _, name := range sortedKeys(named) {
			one, _ := named[name].(object)
			if s.listenerOff(one) {
				continue
			}
			addr, err := bindAddress("listeners."+kind+"."+name+".bind", one.text("bind", port50(kind)))
			errs = append(errs, err)
			s.mqtt = append(s.mqtt, listener{kind: kind, label: kind + ":" + name, addr: addr})
		}
	}
	for kind, port := range map[string]string{"http": "18083", "https": "0"} {
		key := "dashboard.listeners." + kind + ".bind"
		addr, err := bindAddress(key, all.text(key, port))
		errs = append(errs, err)
		if !strings.HasSuffix(addr, ":0") { // bind = 0 turns it off
			s.web = append(s.web, listener{kind: kind, label: kind + ":dashboard", addr: addr})
		}
	}
	return s, errors.Join(errs...)
}

// listenerOff reads the switch of a listener: enabled in 5.0; from 5.1 on enable, and the old word is taken too.
func (r release) listenerOff(one object) bool {
	if r.since(5, 1) && one.text("enable", "true") == "false" {
		return true
	}
	return one.text("enabled", "true") == "false"
}

// checkStorage: durable storage that is this node's alone goes with no cluster.
func (s settings) checkStorage(all object) error {
	if s.since(5, 8) && s.discovery != "singleton" && all.text("durable_storage.messages.backend", "") == "builtin_local" {
		return fmt.Errorf("durable_storage.messages.backend: builtin_local needs cluster.discovery_strategy = singleton, and it is %s", s.discovery)
	}
	return nil
}

// ticktime reads net_ticktime: seconds, or a number with a unit.
func ticktime(text string) (time.Duration, error) {
	if text == "" {
		return defaultTick, nil
	}
	if _, err := strconv.Atoi(text); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return defaultTick, fmt.Errorf("set node.dist_net_ticktime: %q is no duration", text)
	}
	return d, nil
}

// port50 is the schema's default, which no shipped file shows.
func port50(kind string) string {
	return map[string]string{"tcp": "1883", "ssl": "8883", "ws": "8083", "wss": "8084"}[kind]
}

func (r release) absolute(dir string) string {
	if filepath.IsAbs(dir) {
		return dir
	}
	return r.path(dir)
}

// bindAddress turns PORT or HOST:PORT into HOST:PORT.
func bindAddress(key, value string) (string, error) {
	host, port := "0.0.0.0", value
	if i := strings.LastIndex(value, ":"); i >= 0 {
		host, port = value[:i], value[i+1:]
	}
	if number, err := strconv.Atoi(port); err != nil || number < 0 || number > 65535 || net.ParseIP(strings.Trim(host, "[]")) == nil {
		return "", fmt.Errorf("set %s: %q is not a port or an IP address with a port", key, value)
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port), nil
}

func splitSeeds(text string) []nodeName {
	var seeds []nodeName
	for seed := range strings.SplitSeq(strings.Trim(text, "[] "), ",") {
		if seed = strings.Trim(strings.TrimSpace(seed), `"'`); seed != "" {
			seeds = append(seeds, nodeName(seed))
		}
	}
	return seeds
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
