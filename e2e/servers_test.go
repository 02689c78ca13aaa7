package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
)

// servers are those of the conformance list.
func servers() []server {
	return append([]server{rabbitmq(), builtIn(), nats(), jetStream(), etcd(), redis(), postgresql(), galera()}, library()...)
}

// answerTime bounds one question to a server.
const answerTime = time.Minute

// client runs a server's own client and returns what it printed, without blanks around it.
func (c *contact) client(args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	timer := time.AfterFunc(answerTime, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

func (c *contact) get(n nodeStatus, listener, path string) (string, error) {
	resp, err := (&http.Client{Timeout: answerTime}).Get("http://" + n.Listeners[listener] + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// at is host and port of the listener that clients use.
func (c *contact) at(n nodeStatus) (host, port string) {
	host, port, err := net.SplitHostPort(n.Listeners[c.port])
	if err != nil {
		c.t.Fatal(err)
	}
	return host, port
}

func builtIn() server {
	read := func(c *contact, at nodeStatus) (string, error) {
		host, port := c.at(at)
		return c.client("mosquitto_sub", "-h", host, "-p", port, "-q", "1", "-t", "conformance", "-C", "1", "-W", "30")
	}
	return server{
		name: "onemore", programs: []string{"mosquitto_pub", "mosquitto_sub"}, args: []string{"-t", "onemore"}, second: 2, port: "mqtt",
		carry: func(c *contact, from, to nodeStatus, value string) (string, error) {
			host, port := c.at(from)
			if _, err := c.client("mosquitto_pub", "-h", host, "-p", port, "-q", "1", "-r", "-t", "conformance", "-m", value); err != nil {
				return "", err
			}
			return read(c, to)
		},
		keep:    read,
		listing: func(c *contact, at nodeStatus) (string, error) { return c.get(at, "http", "/api/v1/nodes") },
		member:  func(n nodeStatus) string { return fmt.Sprintf("%q", n.Name) },
	}
}

func etcd() server {
	ctl := func(c *contact, at nodeStatus, args ...string) (string, error) {
		return c.client(append([]string{"etcdctl", "--endpoints=" + at.Listeners["client"]}, args...)...)
	}
	read := func(c *contact, at nodeStatus) (string, error) {
		return ctl(c, at, "get", "conformance", "--print-value-only")
	}
	return server{
		name: "etcd", programs: []string{"etcd", "etcdctl"}, args: []string{"-t", "etcd"}, second: 3, port: "client",
		carry: func(c *contact, from, to nodeStatus, value string) (string, error) {
			if _, err := ctl(c, from, "put", "conformance", value); err != nil {
				return "", err
			}
			return read(c, to)
		},
		keep:    read,
		listing: func(c *contact, at nodeStatus) (string, error) { return ctl(c, at, "member", "list") },
		member:  func(n nodeStatus) string { return "http://" + n.Listeners["peer"] },
	}
}

func redis() server {
	cli := func(c *contact, at nodeStatus, args ...string) (string, error) {
		host, port := c.at(at)
		return c.client(append([]string{"redis-cli", "-c", "-h", host, "-p", port}, args...)...)
	}
	read := func(c *contact, at nodeStatus) (string, error) { return cli(c, at, "get", "conformance") }
	return server{
		name: "redis", programs: []string{"redis-server", "redis-cli"}, args: []string{"-t", "redis"}, second: 3, first: 3, port: "client",
		carry: func(c *contact, from, to nodeStatus, value string) (string, error) {
			if answer, err := cli(c, from, "set", "conformance", value); err != nil || answer != "OK" {
				return answer, err
			}
			return read(c, to)
		},
		keep:    read,
		listing: func(c *contact, at nodeStatus) (string, error) { return cli(c, at, "cluster", "nodes") },
		member:  func(n nodeStatus) string { return n.Listeners["client"] + "@" },
	}
}

// rabbitmq writes and reads a virtual host, which needs no client of a protocol but is stored on all nodes.
func rabbitmq() server {
	ctl := func(c *contact, at nodeStatus, args ...string) (string, error) {
		out, errs, code := c.run(append([]string{"-c", c.cluster, "ctl", fmt.Sprint(at.Index), "--", "--quiet"}, args...)...)
		if code != 0 {
			return "", fmt.Errorf("exit %d: %s", code, errs)
		}
		return out, nil
	}
	read := func(c *contact, at nodeStatus) (string, error) {
		out, err := ctl(c, at, "list_vhosts", "--no-table-headers")
		last := ""
		for line := range strings.Lines(out) { // the values are times
			if name := strings.TrimSpace(line); strings.HasPrefix(name, "v") && name > last {
				last = name
			}
		}
		return last, err
	}
	return server{
		name: "rabbitmq", programs: []string{"rabbitmqctl", "erl_call"}, args: []string{"-t", "rabbitmq"}, second: 1, port: "amqp",
		carry: func(c *contact, from, to nodeStatus, value string) (string, error) {
			if _, err := ctl(c, from, "add_vhost", value); err != nil {
				return "", err
			}
			return read(c, to)
		},
		keep:    read,
		listing: func(c *contact, at nodeStatus) (string, error) { return ctl(c, at, "cluster_status") },
		member:  func(n nodeStatus) string { return n.Name },
	}
}

func nats() server {
	return server{
		name: "nats", programs: []string{"nats-server"}, args: []string{"-t", "nats"}, second: 2, port: "client",
		carry: func(c *contact, from, to nodeStatus, value string) (string, error) {
			sub, err := dialNATS(to.Listeners["client"])
			if err != nil {
				return "", err
			}
			defer sub.Close()
			if err := sub.ask("SUB conformance 1\r\nPING\r\n", "PONG"); err != nil {
				return "", err
			}
			pub, err := dialNATS(from.Listeners["client"])
			if err != nil {
				return "", err
			}
			defer pub.Close()
			return sub.first(func() error { // interest may be on its way yet
				return pub.ask(fmt.Sprintf("PUB conformance %d\r\n%s\r\nPING\r\n", len(value), value), "PONG")
			})
		},
		listing: func(c *contact, at nodeStatus) (string, error) {
			conn, err := dialNATS(at.Listeners["client"])
			if err != nil {
				return "", err
			}
			defer conn.Close()
			return conn.info, nil // has the addresses of all servers
		},
		member: func(n nodeStatus) string { return fmt.Sprintf("%q", n.Listeners["client"]) },
	}
}

// jetStream writes to a stream that all three servers hold.
func jetStream() server {
	s := nats()
	s.name, s.args, s.first = "nats with jetstream", append(s.args, "--param", "jetstream=true"), 2
	read := func(c *contact, at nodeStatus) (string, error) {
		answer, err := request(at, "$JS.API.STREAM.MSG.GET.CONFORMANCE", `{"last_by_subj":"conformance"}`)
		if err != nil {
			return "", err
		}
		var m struct {
			Message struct {
				Data []byte `json:"data"`
			} `json:"message"`
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal([]byte(answer), &m); err != nil {
			return "", err
		}
		if m.Error != nil {
			return "", errors.New(answer)
		}
		return string(m.Message.Data), nil
	}
	s.carry = func(c *contact, from, to nodeStatus, value string) (string, error) {
		config := `{"name":"CONFORMANCE","subjects":["conformance"],"num_replicas":3}`
		if answer, err := request(from, "$JS.API.STREAM.CREATE.CONFORMANCE", config); err != nil || !strings.Contains(answer, `"config"`) {
			return answer, err
		}
		if answer, err := request(from, "conformance", value); err != nil || !strings.Contains(answer, `"seq"`) {
			return answer, err
		}
		return read(c, to)
	}
	s.keep = read
	// Only the leader of the group lists it.
	s.listing = func(c *contact, at nodeStatus) (string, error) {
		text, err := c.get(at, "http", "/jsz")
		leader := regexp.MustCompile(`"leader":\s*"([^"]+)"`).FindStringSubmatch(text)
		if err != nil || leader == nil {
			return text, err
		}
		st, _ := c.status(c.cluster)
		for _, n := range st.Nodes {
			name, err := c.get(n, "http", "/varz")
			if err == nil && strings.Contains(name, fmt.Sprintf(`"server_name": %q`, leader[1])) {
				return c.get(n, "http", "/jsz")
			}
		}
		return "", fmt.Errorf("the leader %s is no node", leader[1])
	}
	s.member = func(n nodeStatus) string { return `"` + n.Name } // an added one has more behind
	return s
}

// natsConn speaks NATS' text protocol.
type natsConn struct {
	net.Conn
	lines *bufio.Reader
	info  string
}

func dialNATS(addr string) (*natsConn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &natsConn{Conn: conn, lines: bufio.NewReader(conn)}
	_ = c.SetDeadline(time.Now().Add(answerTime))
	if c.info, err = c.lines.ReadString('\n'); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, c.ask("CONNECT {\"verbose\":false}\r\nPING\r\n", "PONG")
}

// ask sends and reads until the answer.
func (c *natsConn) ask(send, answer string) error {
	if _, err := io.WriteString(c, send); err != nil {
		return err
	}
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil || strings.HasPrefix(line, answer) {
			return err
		}
		if strings.HasPrefix(line, "-ERR") {
			return errors.New(line)
		}
	}
}

// first returns the first message that comes, of those that send keeps sending.
func (c *natsConn) first(send func() error) (string, error) {
	for end := time.Now().Add(answerTime); time.Now().Before(end); {
		if err := send(); err != nil {
			return "", err
		}
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if err := c.ask("", "MSG"); err != nil {
			if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
				return "", err
			}
			continue
		}
		_ = c.SetReadDeadline(end)
		return c.line()
	}
	return "", errors.New("no message came")
}

func (c *natsConn) line() (string, error) {
	line, err := c.lines.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

var inboxes atomic.Int64

// request sends a request to one server and returns the first answer, asking again while nobody answers.
func request(at nodeStatus, subject, body string) (string, error) {
	c, err := dialNATS(at.Listeners["client"])
	if err != nil {
		return "", err
	}
	defer c.Close()
	inbox := fmt.Sprintf("_INBOX.%d", inboxes.Add(1)) // of this request only: what was asked twice is answered twice
	if err := c.ask("SUB "+inbox+" 1\r\nPING\r\n", "PONG"); err != nil {
		return "", err
	}
	return c.first(func() error {
		_, err := fmt.Fprintf(c, "PUB %s %s %d\r\n%s\r\n", subject, inbox, len(body), body)
		return err
	})
}
