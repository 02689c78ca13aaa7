package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"onemore/nodecore"
)

// Where ports are looked for: below those that Linux takes for outgoing connections.
const (
	lowestPort  = 10000
	highestPort = 32767
)

// portsEach are cluster, forward, MQTT, MQTT over TLS, WebSocket with and without TLS, and HTTP.
const (
	portsEach = 7
	portHTTP  = 6 // which of them
)

// measureNodes starts n built-in nodes and waits until each of them has reported
// that it sees n.
func measureNodes(n int) (time.Duration, error) { return startNodes(n, nil) }

// startNodes is measureNodes; formed, if set, is called while all nodes run, with
// their processes and ports.
func startNodes(n int, formed func(processes, []string) error) (took time.Duration, err error) {
	dir, err := os.MkdirTemp("", "onemore-floor-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ports, err := freePorts(n * portsEach)
	if err != nil {
		return 0, err
	}
	reports := make([]*net.UnixConn, n)
	for i := range reports {
		name := fmt.Sprintf("@onemore-floor-%d-%d", os.Getpid(), i+1)
		if reports[i], err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"}); err != nil {
			return 0, err
		}
		defer reports[i].Close()
		if err := os.Mkdir(dir+"/"+strconv.Itoa(i+1), 0o700); err != nil {
			return 0, err
		}
	}
	life, lifeW, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	var procs processes
	defer func() { err = errors.Join(err, lifeW.Close(), life.Close(), procs.end()) }()
	begin := time.Now()
	for i := range n {
		err := procs.start([]string{
			childEnv + "=" + strconv.Itoa(i+1), sizeEnv + "=" + strconv.Itoa(n), dirEnv + "=" + dir, portsEnv + "=" + ports,
			"NOTIFY_SOCKET=" + reports[i].LocalAddr().String(), "GOMAXPROCS=1", "GOGC=400",
		}, life)
		if err != nil {
			return 0, err
		}
	}
	for _, conn := range reports {
		if err := awaitMembers(conn, n); err != nil {
			return 0, err
		}
	}
	took = time.Since(begin)
	if formed != nil {
		err = formed(procs, strings.Fields(ports))
	}
	return took, err
}

// awaitMembers reads what one node reports until it sees n.
func awaitMembers(conn *net.UnixConn, n int) error {
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	text := make([]byte, 4096)
	for {
		got, err := conn.Read(text)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text[:got])) {
			if strings.TrimSpace(line) == "X_ONEMORE_MEMBERS="+strconv.Itoa(n) {
				return nil
			}
		}
	}
}

// freePorts returns n ports, separated by blanks, that are free for TCP and
// UDP now. Nobody holds them, so one may be gone when a node wants it: then the
// measurement fails.
func freePorts(n int) (string, error) {
	var found []string
	first := rand.N(highestPort + 1 - lowestPort) // another measurement may run at the same time
	for i := 0; len(found) < n; i++ {
		if lowestPort+i > highestPort {
			return "", fmt.Errorf("find %d free ports from %d to %d: there are %d", n, lowestPort, highestPort, len(found))
		}
		port := lowestPort + (first+i)%(highestPort+1-lowestPort)
		addr := "127.0.0.1:" + strconv.Itoa(port)
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			continue // taken
		}
		if udp, err := net.ListenPacket("udp", addr); err == nil {
			found = append(found, strconv.Itoa(port))
			udp.Close()
		}
		tcp.Close()
	}
	return strings.Join(found, " "), nil
}

// node is one built-in node, all of it, with a configuration that nobody has to
// write or read.
func node() error {
	runtime.GOMAXPROCS(1)
	index, err := strconv.Atoi(os.Getenv(childEnv))
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(os.Getenv(sizeEnv))
	if err != nil {
		return err
	}
	ports := strings.Fields(os.Getenv(portsEnv))
	name := func(i int) string { return fmt.Sprintf("floor%d@127.0.0.1", i) }
	addr := func(i, k int) string { return "127.0.0.1:" + ports[(i-1)*portsEach+k] }
	cfg := nodecore.DefaultConfig(os.Getenv(dirEnv) + "/" + strconv.Itoa(index))
	cfg.Node.Name = name(index)
	cfg.Cluster.Bind, cfg.Cluster.Secret = addr(index, 0), "floor"
	for i := range size {
		cfg.Cluster.Seeds = append(cfg.Cluster.Seeds, name(i+1)+strings.TrimPrefix(addr(i+1, 0), "127.0.0.1"))
	}
	l := &cfg.Listeners
	for k, bind := range []*string{&l.Forward.Bind, &l.MQTT.Bind, &l.MQTTS.Bind, &l.WS.Bind, &l.WSS.Bind, &l.HTTP.Bind} {
		*bind = addr(index, k+1)
	}
	n, err := nodecore.Open(context.Background(), cfg)
	if err != nil {
		return err
	}
	// Any end of this read means that the parent wants no more.
	_, _ = io.Copy(io.Discard, os.NewFile(fdNodeLife, "life"))
	return n.Close()
}
