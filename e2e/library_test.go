package e2e

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// library are the further servers that come with a template of a few lines.
func library() []server {
	return []server{zooKeeper(), alertmanager(), serf(), nsq(), haproxy(), memcached()}
}

// becomes asks until the answer is the wanted one, or the time for an answer is over, and returns the last answer.
func becomes(want string, ask func() (string, error)) (got string, err error) {
	for end := time.Now().Add(answerTime); ; {
		if got, err = ask(); err == nil && got == want || time.Now().After(end) {
			return got, err
		}
		<-time.After(20 * time.Millisecond)
	}
}

// variable is a value of `onemore env`.
func (c *contact) variable(name string) (string, error) {
	out, errs, code := c.run("-c", c.cluster, "env", "--format", "json")
	var all map[string]string
	if err := json.Unmarshal([]byte(out), &all); code != 0 || err != nil || all[name] == "" {
		return "", fmt.Errorf("env has no %s (exit %d, %v): %s%s", name, code, err, out, errs)
	}
	return all[name], nil
}

// exchange sends a text over TCP and returns all that comes back.
func exchange(addr, send string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(answerTime))
	if _, err := io.WriteString(conn, send); err != nil {
		return "", err
	}
	b, err := io.ReadAll(conn)
	return string(b), err
}

// post sends a body and returns the answer.
func post(url, body string) (string, error) {
	resp, err := (&http.Client{Timeout: answerTime}).Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return string(b), err
}

// memcached: its nodes share nothing, so what is written at one is there, and at no other.
func memcached() server {
	return server{
		name: "memcached", programs: []string{"memcached"}, args: []string{"-t", "memcached"}, second: 2, separate: true, fixed: true,
		carry: func(c *contact, from, to nodeStatus, value string) (string, error) {
			if _, err := exchange(from.Listeners["client"], fmt.Sprintf("set conformance 0 0 %d\r\n%s\r\nquit\r\n", len(value), value)); err != nil {
				return "", err
			}
			if other, err := exchange(to.Listeners["client"], "get conformance\r\nquit\r\n"); err != nil || strings.Contains(other, value) {
				return "", fmt.Errorf("another node has it: %q (%v)", other, err)
			}
			got, err := exchange(from.Listeners["client"], "get conformance\r\nquit\r\n")
			return regexp.MustCompile(`v\d+`).FindString(got), err
		},
	}
}

// serf carries a tag of an agent to the others.
func serf() server {
	ctl := func(c *contact, at nodeStatus, args ...string) (string, error) {
		return c.client(append([]string{"serf", args[0], "-rpc-addr=" + at.Listeners["rpc"]}, args[1:]...)...)
	}
	return server{
		name: "serf", programs: []string{"serf"}, args: []string{"-t", "serf"}, second: 2,
		carry: func(c *contact, from, to nodeStatus, value string) (string, error) {
			if _, err := ctl(c, from, "tags", "-set", "conformance="+value); err != nil {
				return "", err
			}
			return becomes(value, func() (string, error) {
				text, err := ctl(c, to, "members", "-status=alive", "-tag", "conformance="+value)
				if err == nil && strings.Contains(text, from.Name+" ") {
					return value, nil
				}
				return text, err
			})
		},
		listing: func(c *contact, at nodeStatus) (string, error) { return ctl(c, at, "members", "-status=alive") },
		member:  func(n nodeStatus) string { return n.Name + " " },
	}
}

// nsq: a consumer finds the node that has a topic through nsqlookupd.
func nsq() server {
	return server{
		name: "nsq", programs: []string{"nsqd", "nsqlookupd"}, args: []string{"-t", "nsq"}, second: 2,
		carry: func(c *contact, from, _ nodeStatus, value string) (string, error) {
			if _, err := post("http://"+from.Listeners["http"]+"/pub?topic="+value, value); err != nil {
				return "", err
			}
			lookup, err := c.variable("ONEMORE_LOOKUP_HTTP")
			if err != nil {
				return "", err
			}
			_, port, _ := net.SplitHostPort(from.Listeners["tcp"])
			_, err = becomes(port, func() (string, error) {
				resp, err := (&http.Client{Timeout: answerTime}).Get("http://" + lookup + "/lookup?topic=" + value)
				if err != nil {
					return "", err
				}
				defer resp.Body.Close()
				b, err := io.ReadAll(resp.Body)
				if m := regexp.MustCompile(`"tcp_port":(\d+)`).FindSubmatch(b); m != nil {
					return string(m[1]), err
				}
				return string(b), err
			})
			if err != nil {
				return "", err
			}
			return consume(from.Listeners["tcp"], value)
		},
		listing: func(c *contact, at nodeStatus) (string, error) {
			lookup, err := c.variable("ONEMORE_LOOKUP_HTTP")
			if err != nil {
				return "", err
			}
			return c.get(nodeStatus{Listeners: map[string]string{"lookup": lookup}}, "lookup", "/nodes")
		},
		member: func(n nodeStatus) string {
			_, port, _ := net.SplitHostPort(n.Listeners["tcp"])
			return `"tcp_port":` + port + ","
		},
	}
}

// consume reads the first message of an nsqd's topic.
func consume(addr, topic string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(answerTime))
	if _, err := fmt.Fprintf(conn, "  V2SUB %s conformance\nRDY 1\n", topic); err != nil {
		return "", err
	}
	for {
		var head struct{ Size, Type uint32 }
		if err := binary.Read(conn, binary.BigEndian, &head); err != nil {
			return "", err
		}
		body := make([]byte, head.Size-4)
		if _, err := io.ReadFull(conn, body); err != nil {
			return "", err
		}
		const message, before = 2, 8 + 2 + 16 // time, attempts and id come before the body
		if head.Type == message {
			return string(body[before:]), nil
		}
	}
}

// alertmanager carries a silence.
func alertmanager() server {
	read := func(c *contact, at nodeStatus) (string, error) {
		text, err := c.get(at, "web", "/api/v2/silences")
		if found := regexp.MustCompile(`"comment":"(v\d+)"`).FindAllStringSubmatch(text, -1); found != nil {
			last := slices.MaxFunc(found, func(a, b []string) int { return strings.Compare(a[1], b[1]) })
			return last[1], err
		}
		return text, err
	}
	return server{
		name: "alertmanager", programs: []string{"prometheus-alertmanager"}, args: []string{"-t", "alertmanager"}, second: 2,
		carry: func(c *contact, from, to nodeStatus, value string) (string, error) {
			body := fmt.Sprintf(`{"matchers":[{"name":"x","value":"y","isRegex":false}],"startsAt":%q,"endsAt":%q,"createdBy":"x","comment":%q}`,
				time.Now().UTC().Format(time.RFC3339), time.Now().UTC().Add(24*time.Hour).Format(time.RFC3339), value)
			if _, err := post("http://"+from.Listeners["web"]+"/api/v2/silences", body); err != nil {
				return "", err
			}
			return becomes(value, func() (string, error) { return read(c, to) })
		},
		keep:    read,
		listing: func(c *contact, at nodeStatus) (string, error) { return c.get(at, "web", "/api/v2/status") },
		member:  func(n nodeStatus) string { return fmt.Sprintf("%q", n.Listeners["cluster"]) },
	}
}

// haproxy: what one of the web servers has comes out in front.
func haproxy() server {
	front := func(c *contact, path string) (string, error) {
		addr, err := c.variable("ONEMORE_FRONT")
		if err != nil {
			return "", err
		}
		return c.get(nodeStatus{Listeners: map[string]string{"front": addr}}, "front", path)
	}
	return server{
		name: "haproxy", programs: []string{"haproxy"}, args: []string{"-t", "haproxy"}, second: 2, separate: true,
		carry: func(c *contact, from, _ nodeStatus, value string) (string, error) {
			dir, err := c.variable(fmt.Sprintf("ONEMORE_%d_DIR", from.Index))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "html", value), []byte(value), 0o644)
			}
			if err != nil {
				return "", err
			}
			return becomes(value, func() (string, error) { return front(c, "/"+url.PathEscape(value)) })
		},
		listing: func(c *contact, _ nodeStatus) (string, error) {
			st, _ := c.status(c.cluster)
			var want []string
			for _, n := range st.Nodes {
				want = append(want, n.Name+"\n")
			}
			slices.Sort(want)
			return becomes(strings.Join(want, ""), func() (string, error) { // it is on its way to its new configuration
				seen := map[string]bool{}
				for range 4 * len(want) { // each server has its turn
					name, err := front(c, "/")
					if err != nil {
						return "", err
					}
					seen[name] = true
				}
				return strings.Join(slices.Sorted(maps.Keys(seen)), ""), nil
			})
		},
		member: func(n nodeStatus) string { return n.Name + "\n" },
	}
}

// zooKeeper writes and reads a node of its tree.
func zooKeeper() server {
	const cli = "/usr/share/zookeeper/bin/zkCli.sh"
	ctl := func(c *contact, at nodeStatus, args ...string) (string, error) {
		return c.client(append([]string{cli, "-server", at.Listeners["client"]}, args...)...)
	}
	read := func(c *contact, at nodeStatus) (string, error) {
		text, err := ctl(c, at, "get", "/conformance")
		return regexp.MustCompile(`(?m)^v\d+$`).FindString(text), err
	}
	return server{
		name: "zookeeper", programs: []string{cli}, args: []string{"-t", "zookeeper"}, second: 1,
		carry: func(c *contact, from, to nodeStatus, value string) (string, error) {
			if _, err := ctl(c, from, "create", "/conformance", value); err != nil {
				if _, err := ctl(c, from, "set", "/conformance", value); err != nil {
					return "", err
				}
			}
			return becomes(value, func() (string, error) { return read(c, to) })
		},
		keep:    read,
		listing: func(c *contact, at nodeStatus) (string, error) { return exchange(at.Listeners["client"], "conf") },
		member:  func(n nodeStatus) string { return n.Listeners["client"] },
	}
}
