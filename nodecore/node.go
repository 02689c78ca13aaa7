// Package nodecore is the built-in node: one member of a clustered MQTT
// broker, as a library and (nodecore/cli) as a process.
//
// It composes the membership (internal/member), the MQTT broker with its links
// to other nodes (internal/broker, internal/peer) and the disk (internal/store),
// and adds the node's configuration, its HTTP listener and its control socket.
// It knows nothing of the launcher, which treats it as one more server.
//
// Start at LoadConfig and Open.
package nodecore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"onemore/nodecore/internal/broker"
	"onemore/nodecore/internal/faults"
	"onemore/nodecore/internal/member"
	"onemore/nodecore/internal/peer"
	"onemore/nodecore/internal/store"
	"onemore/nodecore/internal/webcheck"

	"golang.org/x/sys/unix"
)

const (
	// notifyAgain is the pause before a report to a busy supervisor is repeated.
	notifyAgain = 100 * time.Millisecond
	// debounceQuiet is how long, per member, no change must have come before the
	// membership is read, and debounceMax per member the longest that reading is put
	// off, from debounceFrom members on: among a hundred that join at once, most
	// intermediate states need not be reported.
	debounceQuiet = 50 * time.Microsecond
	debounceMax   = time.Millisecond
	debounceFrom  = 16
)

// Node is a running node.
type Node struct {
	cfg     Config
	log     *slog.Logger
	lock    *os.File
	sockets *sockets
	faults  *faults.Table
	group   *member.Group
	store   *store.Store
	broker  *broker.Broker
	web     *webcheck.Checker
	http    *httpServer // nil if the listener is off
	control *controlServer
	notify  notifier

	data    catchUp
	peersMu sync.Mutex // orders the calls of broker.SetPeers and Reset

	ready  chan struct{}
	done   chan struct{}
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
	err    error
}

// envFaults says that faults will be set as soon as the node is ready.
const envFaults = "ONEMORE_FAULTS"

// Open starts a node. When it returns without error, every listener is open
// and served, and the node is on its way into its cluster. ctx bounds the
// start only; the node ends with Close.
func Open(ctx context.Context, cfg Config) (_ *Node, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, &ConfigError{Dir: cfg.Dir, Err: err}
	}
	n := &Node{cfg: cfg, log: cfg.Logger, web: cfg.webChecker(), faults: new(faults.Table), data: catchUp{changed: make(chan struct{})}, ready: make(chan struct{}), done: make(chan struct{})}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open node %q: %w", cfg.Node.Name, err), n.release())
		}
	}()
	if os.Getenv(envFaults) != "" {
		n.faults.Hold()
	}
	if n.notify, err = newNotifier(os.Getenv("NOTIFY_SOCKET")); err != nil {
		return nil, err
	}
	if err := n.openData(); err != nil {
		return nil, err
	}
	if n.sockets, err = openSockets(ctx, &cfg, n.log); err != nil {
		return nil, err
	}
	if err := n.openMembership(); err != nil {
		return nil, err
	}
	if err := n.openBroker(); err != nil {
		return nil, err
	}
	if n.control, err = openControl(n.dataDir(), n.log); err != nil {
		return nil, err
	}
	return n, n.start()
}

func (n *Node) dataDir() string { return n.cfg.dataDir() }

// openData makes the data directory this process's own.
func (n *Node) openData() error {
	dir := n.dataDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return fmt.Errorf("lock data directory %q: %w", dir, err)
	}
	n.lock = lock
	return nil
}

// errInUse means that another process holds the data directory.
var errInUse = errors.New("another process uses it")

// lockDir holds a directory, by the directory itself, until the file is closed
// or the process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errInUse
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (n *Node) openMembership() error {
	s := n.sockets
	advertise, err := n.cfg.advertiseCluster(s.cluster.Addr())
	if err != nil {
		return err
	}
	forward, err := n.cfg.advertiseForward(s.addr("forward"))
	if err != nil {
		return err
	}
	seeds, err := n.cfg.seeds()
	if err != nil {
		return err
	}
	tcp, udp := s.takeCluster()
	n.group, err = member.Open(member.Config{
		Name: n.cfg.Node.Name, Dir: n.dataDir(), TCP: tcp, UDP: udp,
		Advertise: advertise, Forward: forward, Secret: []byte(n.cfg.Cluster.Secret), Seeds: seeds,
		Reset: n.resetBroker, Holders: func() []string { return n.broker.Admission.Holders() }, Faults: n.faults, Logger: n.log,
	})
	return err
}

// openBroker starts MQTT. A node that waits for its first cluster has none to
// name yet; the broker gets to know it by Reset.
func (n *Node) openBroker() error {
	var err error
	if n.store, err = store.Open(n.dataDir(), store.Options{Sync: store.Mode(n.cfg.Storage.Sync), Logger: n.log}); err != nil {
		return err
	}
	v, s := n.group.View(), n.sockets
	cluster := v.Cluster
	if cluster == "" {
		cluster = "none-yet-" + v.Self.ID
	}
	secret := n.cfg.Cluster.Secret
	if secret == "" { // no one may link to this node: its own id, which it tells to nobody then, locks them out
		secret = v.Self.Node
	}
	cert, err := n.cfg.certificate()
	if err != nil {
		return err
	}
	n.broker, err = broker.Open(broker.Config{
		Name: v.Self.Name, NodeID: v.Self.Node, ClusterID: cluster, Secret: []byte(secret),
		Dir: n.dataDir(), Store: n.store, Peers: peers(v), Forward: s.take("forward"),
		MQTT: s.take("mqtt"), MQTTS: s.take("mqtts"), WS: s.take("ws"), WSS: s.take("wss"),
		Web: n.web, Certificate: cert, LinkTLS: n.cfg.Cluster.TLS, Wait: true, Faults: n.linkFaults, Logger: n.log, MaxSubscriptions: n.cfg.MQTT.MaxSubscriptions,
		ReceiveMaximum: n.cfg.MQTT.ReceiveMaximum, ServerKeepAlive: time.Duration(n.cfg.MQTT.ServerKeepAlive) * time.Second,
	})
	return err
}

// start begins to serve; nothing that can fail for reasons of this host comes after it.
func (n *Node) start() error {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	if err := n.group.Start(); err != nil {
		return err
	}
	n.serveHTTP()
	n.control.serve(n.answerControl)
	n.data.n = n
	n.wg.Go(func() { n.data.run(ctx) })
	n.wg.Go(func() { n.follow(ctx) })
	return nil
}

// follow reports every change of membership to the broker's links and to the
// supervisor, and that the node is ready.
func (n *Node) follow(ctx context.Context) {
	reported, ready := "", false // to the supervisor
	for ctx.Err() == nil {
		v := n.updatePeers()
		state, changed := n.supervisorState(v, ready)
		if state != "" && !strings.HasSuffix(reported, state) {
			again, err := n.notify.send(ctx, state)
			if err != nil {
				n.log.Debug("report state", "error", err)
			}
			if again {
				sleep(ctx, notifyAgain)
				continue
			}
			reported, ready = state, ready || strings.HasPrefix(state, "READY=1")
		}
		select {
		case <-n.group.Changes():
		case <-changed:
		case <-ctx.Done():
		}
		if members := len(v.Running); members >= debounceFrom {
			n.debounce(ctx, time.Duration(members))
		}
	}
}

// supervisorState is what the supervisor should know, in sd_notify's form; "" is
// nothing yet. changed is closed when it may be another one, besides changes of
// membership.
func (n *Node) supervisorState(v member.View, readyReported bool) (state string, changed <-chan struct{}) {
	cluster, progress, changed, _ := n.data.state()
	select {
	case <-n.ready:
	default:
		// A supervisor that will set faults waits for the node, which is cut off until then.
		if cluster == "" && os.Getenv(envFaults) == "" {
			if progress != "" {
				state = "STATUS=" + progress
			}
			return state, changed
		}
		n.log.Info("ready", "name", v.Self.Name, "cluster", v.Cluster)
		close(n.ready)
	}
	state = "X_ONEMORE_MEMBERS=" + strconv.Itoa(len(v.Running))
	if !readyReported {
		state = "READY=1\n" + state
	}
	return state, changed
}

// debounce waits until no change has come for a while.
func (n *Node) debounce(ctx context.Context, members time.Duration) {
	quiet, most := time.NewTimer(members*debounceQuiet), time.NewTimer(members*debounceMax)
	defer quiet.Stop()
	defer most.Stop()
	for {
		select {
		case <-n.group.Changes():
			quiet.Reset(members * debounceQuiet)
		case <-quiet.C:
			return
		case <-most.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// sleep lets time pass unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// updatePeers gives the broker the members of now.
func (n *Node) updatePeers() member.View {
	n.peersMu.Lock()
	defer n.peersMu.Unlock()
	v := n.group.View()
	n.broker.SetPeers(peers(v))
	return v
}

// resetBroker drops the node's data, on its way into another cluster.
func (n *Node) resetBroker(_ context.Context, cluster string) error {
	n.peersMu.Lock()
	defer n.peersMu.Unlock()
	return n.broker.Reset(cluster)
}

func peers(v member.View) []peer.Peer {
	list := make([]peer.Peer, 0, len(v.Running)+len(v.Stopped))
	for _, m := range v.Running {
		if m.ID != v.Self.ID {
			list = append(list, peer.Peer{Name: m.Name, ID: m.Node, Addr: m.Forward, Alive: true})
		}
	}
	for _, m := range v.Stopped {
		list = append(list, peer.Peer{Name: m.Name, ID: m.Node, Addr: m.Forward})
	}
	return list
}

// Ready is closed when the node is in its cluster and has the cluster's data, as
// far as members that hold some answer, and serves clients.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Done is closed when the node has ended.
func (n *Node) Done() <-chan struct{} { return n.done }

// Addr is the address of a listener (mqtt, mqtts, ws, wss, http, forward,
// cluster), or "" if it is turned off.
func (n *Node) Addr(listener string) string {
	a := n.sockets.addr(listener)
	if a == nil {
		return ""
	}
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		return ap.String()
	}
	return a.String()
}

// Close stops the node: it stays a member of its cluster, as one that is
// stopped. It may be called twice, and returns when all is over.
func (n *Node) Close() error {
	n.once.Do(func() {
		n.err = n.release()
		close(n.done)
	})
	<-n.done
	return n.err
}

// release undoes Open, as far as it came, in reverse order.
func (n *Node) release() error {
	var errs []error
	if n.cancel != nil {
		n.cancel()
	}
	if n.control != nil {
		errs = append(errs, n.control.close())
	}
	if n.http != nil {
		errs = append(errs, n.http.srv.Close())
	}
	n.wg.Wait()
	if n.broker != nil {
		errs = append(errs, n.broker.Close())
	}
	if n.group != nil {
		errs = append(errs, n.group.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	if n.sockets != nil {
		errs = append(errs, n.sockets.close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close node %q: %w", n.cfg.Node.Name, err)
	}
	return nil
}
