package nodecore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"onemore/nodecore/internal/member"
	"onemore/nodecore/internal/store"
	"onemore/nodecore/internal/webcheck"
)

// Validate reports everything that is wrong with the values.
func (c *Config) Validate() error {
	var errs []error
	bad := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	bad("node.name", member.CheckName(c.Node.Name))
	if c.Node.DataDir == "" {
		bad("node.data_dir", errors.New("empty"))
	}
	if _, err := c.seeds(); err != nil {
		bad("cluster.seeds", err)
	} else if len(c.Cluster.Seeds) > 0 && c.Cluster.Secret == "" {
		bad("cluster.seeds", errors.New("seeds can't be asked without cluster.secret"))
	}
	if _, err := c.level(); err != nil {
		bad("log.level", err)
	}
	_, err := c.certificate()
	bad("tls", err)
	for _, h := range c.Web.Hosts {
		bad("web.hosts", checkWebHost(h))
	}
	if !store.Mode(c.Storage.Sync).Valid() {
		bad("storage.sync", fmt.Errorf("%q is not always, interval or never", c.Storage.Sync))
	}
	between := func(key string, n, least, most int) {
		if n < least || n > most {
			bad(key, fmt.Errorf("%d is not in %d..%d", n, least, most))
		}
	}
	between("mqtt.max_subscriptions", c.MQTT.MaxSubscriptions, 1, math.MaxInt32)
	between("mqtt.receive_maximum", c.MQTT.ReceiveMaximum, 1, math.MaxUint16)
	between("mqtt.server_keep_alive", c.MQTT.ServerKeepAlive, 0, math.MaxUint16)
	bad("cluster.advertise", checkAdvertise(c.Cluster.Advertise))
	bad("cluster.advertise_forward", checkAdvertise(c.Cluster.AdvertiseForward))
	if c.Cluster.TLS && c.Cluster.Secret == "" {
		bad("cluster.tls", errors.New("certificates of links can't be made without cluster.secret"))
	}
	bad("cluster.bind", checkBind(c.Cluster.Bind))
	if !c.Listeners.Forward.on() {
		bad("listeners.forward", errors.New("the port for links between nodes can't be turned off"))
	}
	return errors.Join(append(errs, c.checkListeners())...)
}

func (c *Config) checkListeners() error {
	var errs []error
	used := map[string]string{c.Cluster.Bind: "cluster"}
	listeners := c.listeners()
	for _, name := range sortedKeys(listeners) {
		l := listeners[name]
		if !l.on() {
			continue
		}
		if err := checkBind(l.Bind); err != nil {
			errs = append(errs, fmt.Errorf("listeners.%s.bind: %w", name, err))
		} else if other, taken := used[l.Bind]; taken && !strings.HasSuffix(l.Bind, ":0") {
			errs = append(errs, fmt.Errorf("listeners.%s.bind: %s is also the port of %s", name, l.Bind, other))
		}
		used[l.Bind] = name
	}
	return errors.Join(errs...)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (l ListenerConfig) on() bool { return l.Enabled && l.Bind != "" }

func checkBind(s string) error {
	if _, err := netip.ParseAddrPort(s); err != nil {
		return fmt.Errorf("%q is not IP:PORT", s)
	}
	return nil
}

// certificate reads the certificate that is configured; nil if none is.
func (c *Config) certificate() (*tls.Certificate, error) {
	if c.TLS.CertFile == "" && c.TLS.KeyFile == "" {
		return nil, nil
	}
	if c.TLS.CertFile == "" || c.TLS.KeyFile == "" {
		return nil, errors.New("tls.cert_file and tls.key_file go together, and only one is set")
	}
	cert, err := tls.LoadX509KeyPair(c.path(c.TLS.CertFile), c.path(c.TLS.KeyFile))
	if err != nil {
		return nil, fmt.Errorf("read certificate %q with key %q: %w", c.TLS.CertFile, c.TLS.KeyFile, err)
	}
	return &cert, nil
}

// checkWebHost accepts a name or address without port, *.NAME and *.
func checkWebHost(h string) error {
	name := strings.TrimPrefix(h, "*.")
	if _, err := netip.ParseAddr(h); err == nil || h == "*" {
		return nil
	}
	if name == "" || strings.ContainsAny(name, "*:/@ []") {
		return fmt.Errorf("%q is neither a host name nor an address, *.NAME or *", h)
	}
	return nil
}

// webChecker allows the node's own host and those of web.hosts.
func (c *Config) webChecker() *webcheck.Checker {
	_, host, _ := strings.Cut(c.Node.Name, "@")
	return webcheck.New(append([]string{host}, c.Web.Hosts...)...)
}
