package nodecore

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"onemore/nodecore/internal/broker"
	"onemore/nodecore/internal/member"
	"onemore/nodecore/internal/store"

	"github.com/BurntSushi/toml"
)

// ConfigFile is where a node directory keeps its configuration.
const ConfigFile = "etc/node.toml"

// envPrefix starts the environment variables that override keys; __ in what
// follows stands for the dot. Variables without __ are not ours.
const envPrefix = "ONEMORE_"

// Config is a node's configuration. Use DefaultConfig or LoadConfig to make one.
type Config struct {
	Dir       string          `toml:"-"` // node directory, which relative paths start from
	Node      NodeConfig      `toml:"node"`
	Cluster   ClusterConfig   `toml:"cluster"`
	Listeners ListenersConfig `toml:"listeners"`
	TLS       TLSConfig       `toml:"tls"`
	Web       WebConfig       `toml:"web"`
	Storage   StorageConfig   `toml:"storage"`
	MQTT      MQTTConfig      `toml:"mqtt"`
	Log       LogConfig       `toml:"log"`
	Logger    *slog.Logger    `toml:"-"` // nil: discard
}

// NodeConfig says who the node is and where it keeps its data.
type NodeConfig struct {
	Name    string `toml:"name"` // Name@Host
	DataDir string `toml:"data_dir"`
}

// ClusterConfig says how the node finds its cluster.
type ClusterConfig struct {
	Bind       string   `toml:"bind"`        // ip:port, TCP and UDP
	Secret     string   `toml:"secret"`      // the same in all nodes; without one nobody can join
	SecretFile string   `toml:"secret_file"` // holds the secret instead
	Seeds      []string `toml:"seeds"`       // NAME@HOST:PORT, or @HOST:PORT for any node there; only for the very first start

	// Where other nodes reach the cluster port and the port for links, if that is not where they are bound: HOST or HOST:PORT.
	Advertise        string `toml:"advertise"`
	AdvertiseForward string `toml:"advertise_forward"`
	TLS              bool   `toml:"tls"` // links between nodes are encrypted; the same in all nodes
}

// ListenersConfig are the node's ports besides the cluster port.
type ListenersConfig struct {
	MQTT    ListenerConfig `toml:"mqtt"`
	MQTTS   ListenerConfig `toml:"mqtts"`
	WS      ListenerConfig `toml:"ws"`
	WSS     ListenerConfig `toml:"wss"`
	HTTP    ListenerConfig `toml:"http"`
	Forward ListenerConfig `toml:"forward"` // links between nodes; can't be turned off
}

// ListenerConfig is one port.
type ListenerConfig struct {
	Bind    string `toml:"bind"` // ip:port; port 0 is any free one; empty turns it off
	Enabled bool   `toml:"enabled"`
}

// TLSConfig names the certificate of the TLS listeners. Without one, the node makes
// its own, by a CA that the nodes of a cluster share: ca.pem in its data directory.
type TLSConfig struct {
	CertFile string `toml:"cert_file"` // PEM: the certificate, and those that lead to its CA
	KeyFile  string `toml:"key_file"`  // PEM
}

// WebConfig says by which names HTTP and WebSocket clients may reach the node, and
// pages of which hosts may: those of loopback, the node's own host and the address
// that a connection has reached always.
type WebConfig struct {
	Hosts []string `toml:"hosts"` // more names and addresses; *.NAME is all below NAME, * everything
}

// StorageConfig says how the node keeps its data.
type StorageConfig struct {
	Sync string `toml:"sync"` // always, interval or never; see store.Mode
}

// MQTTConfig are limits of the MQTT server.
type MQTTConfig struct {
	MaxSubscriptions int `toml:"max_subscriptions"` // of a client
	ReceiveMaximum   int `toml:"receive_maximum"`   // QoS 1 and 2 messages of a client that it may have unacknowledged
	ServerKeepAlive  int `toml:"server_keep_alive"` // seconds; clients that want more, or none, are told this one; 0: theirs counts
}

// LogConfig says what goes to the log.
type LogConfig struct {
	Level string `toml:"level"` // debug, info, warn or error
}

// DefaultConfig is a node on loopback with the ports that its protocols are known for.
func DefaultConfig(dir string) Config {
	on := func(port string) ListenerConfig { return ListenerConfig{Bind: "127.0.0.1:" + port, Enabled: true} }
	return Config{
		Dir:     dir,
		Node:    NodeConfig{Name: "onemore1@127.0.0.1", DataDir: "data"},
		Cluster: ClusterConfig{Bind: "127.0.0.1:" + strconv.Itoa(member.DefaultPort)},
		Listeners: ListenersConfig{
			MQTT: on("1883"), MQTTS: on("8883"), WS: on("8083"), WSS: on("8084"),
			HTTP: on("18083"), Forward: on("7947"),
		},
		Storage: StorageConfig{Sync: string(store.Always)},
		MQTT:    MQTTConfig{MaxSubscriptions: broker.DefaultSubscriptions, ReceiveMaximum: broker.DefaultReceiveMaximum},
		Log:     LogConfig{Level: "info"},
	}
}

// LoadConfig reads a node directory's configuration: the defaults, overridden
// by its file, overridden by the environment (in the form of os.Environ). All
// problems are reported at once, as a *ConfigError.
func LoadConfig(dir string, environ []string) (Config, error) {
	c := DefaultConfig(dir)
	path := filepath.Join(dir, filepath.FromSlash(ConfigFile))
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, &ConfigError{Dir: dir, Err: fmt.Errorf("read configuration: %w", err)}
	}
	problems := []error{c.decode(string(raw))}
	problems = append(problems, c.override(environ))
	if errors.Join(problems...) == nil {
		problems = append(problems, c.readSecret(), c.Validate())
	}
	if err := errors.Join(problems...); err != nil {
		return Config{}, &ConfigError{Dir: dir, Err: err}
	}
	return c, nil
}

// ConfigError is what is wrong with a configuration: the caller's input, not
// the node, is at fault.
type ConfigError struct {
	Dir string
	Err error
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("configure node in %q: %s", e.Dir, strings.ReplaceAll(e.Err.Error(), "\n", "; "))
}

func (e *ConfigError) Unwrap() error { return e.Err }

func (c *Config) decode(text string) error {
	meta, err := toml.Decode(text, c)
	if err != nil {
		return fmt.Errorf("%s: %w", ConfigFile, err)
	}
	var errs []error
	for _, key := range meta.Undecoded() {
		errs = append(errs, fmt.Errorf("%s: unknown key %q", ConfigFile, key.String()))
	}
	return errors.Join(errs...)
}

// keys maps every key to the place of its value.
func (c *Config) keys() map[string]any {
	keys := map[string]any{
		"node.name": &c.Node.Name, "node.data_dir": &c.Node.DataDir,
		"cluster.bind": &c.Cluster.Bind, "cluster.secret": &c.Cluster.Secret,
		"cluster.advertise": &c.Cluster.Advertise, "cluster.advertise_forward": &c.Cluster.AdvertiseForward, "cluster.tls": &c.Cluster.TLS,
		"cluster.secret_file": &c.Cluster.SecretFile, "cluster.seeds": &c.Cluster.Seeds,
		"web.hosts": &c.Web.Hosts, "tls.cert_file": &c.TLS.CertFile, "tls.key_file": &c.TLS.KeyFile,
		"log.level": &c.Log.Level, "storage.sync": &c.Storage.Sync,
		"mqtt.max_subscriptions": &c.MQTT.MaxSubscriptions, "mqtt.receive_maximum": &c.MQTT.ReceiveMaximum,
		"mqtt.server_keep_alive": &c.MQTT.ServerKeepAlive,
	}
	for name, l := range c.listeners() {
		keys["listeners."+name+".bind"] = &l.Bind
		keys["listeners."+name+".enabled"] = &l.Enabled
	}
	return keys
}

// listeners maps the names of the listeners to their configuration.
func (c *Config) listeners() map[string]*ListenerConfig {
	return map[string]*ListenerConfig{
		"mqtt": &c.Listeners.MQTT, "mqtts": &c.Listeners.MQTTS, "ws": &c.Listeners.WS,
		"wss": &c.Listeners.WSS, "http": &c.Listeners.HTTP, "forward": &c.Listeners.Forward,
	}
}

// override takes values from the environment. A variable that looks like a key
// and is none would be a setting that silently does nothing, so it is an error.
func (c *Config) override(environ []string) error {
	keys := c.keys()
	var errs []error
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || !strings.Contains(rest, "__") {
			continue
		}
		key := strings.ToLower(strings.ReplaceAll(rest, "__", "."))
		place, known := keys[key]
		if !known || name != envName(key) {
			errs = append(errs, fmt.Errorf("environment: %s matches no key", name))
			continue
		}
		if err := set(place, value); err != nil {
			errs = append(errs, fmt.Errorf("environment: %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
}

func set(place any, value string) error {
	switch p := place.(type) {
	case *string:
		*p = value
	case *bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", value)
		}
		*p = b
	case *int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%q is not a number", value)
		}
		*p = n
	case *[]string:
		*p = nil
		for item := range strings.SplitSeq(strings.Trim(value, "[]"), ",") {
			if item = strings.Trim(item, " \t\"'"); item != "" {
				*p = append(*p, item)
			}
		}
	default:
		return fmt.Errorf("a %T can't be set from the environment", place)
	}
	return nil
}

// readSecret takes the secret from its file, where one is named.
func (c *Config) readSecret() error {
	if c.Cluster.SecretFile == "" {
		return nil
	}
	if c.Cluster.Secret != "" {
		return errors.New("cluster.secret and cluster.secret_file are both set")
	}
	raw, err := os.ReadFile(c.path(c.Cluster.SecretFile))
	if err != nil {
		return fmt.Errorf("cluster.secret_file: %w", err)
	}
	c.Cluster.Secret = strings.TrimSpace(string(raw))
	if c.Cluster.Secret == "" {
		return fmt.Errorf("cluster.secret_file: %q is empty", c.Cluster.SecretFile)
	}
	return nil
}

// path is a path of the configuration, seen from the process.
func (c *Config) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.Dir, p)
}

func (c *Config) seeds() ([]member.Target, error) {
	var list []member.Target
	var errs []error
	for _, s := range c.Cluster.Seeds {
		t, err := member.ParseSeed(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, t)
	}
	return list, errors.Join(errs...)
}

func (c *Config) level() (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return 0, fmt.Errorf("%q is not debug, info, warn or error", c.Log.Level)
	}
	return l, nil
}

// Level is the log level; of a valid configuration only.
func (c *Config) Level() slog.Level {
	l, _ := c.level() // Validate has looked
	return l
}

// DataDir is the data directory of a node directory, without a look at the
// rest of its configuration.
func DataDir(dir string, environ []string) (string, error) {
	c, err := LoadConfig(dir, environ)
	if err != nil {
		return "", err
	}
	return c.dataDir(), nil
}

func (c *Config) dataDir() string { return c.path(c.Node.DataDir) }
