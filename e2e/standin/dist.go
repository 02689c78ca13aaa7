package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// A request and its reply are one line of JSON each, on the port where the real server speaks Erlang's distribution.
type request struct {
	Op     string   `json:"op"`
	From   nodeName `json:"from,omitempty"`
	To     nodeName `json:"to"`
	Cookie string   `json:"cookie"` // its hash, bound to the name of the node that is asked
	Schema string   `json:"schema,omitempty"`
	Loaded bool     `json:"loaded,omitempty"`
	Node   nodeName `json:"node,omitempty"`
	Args   []string `json:"args,omitempty"`
	Cut    bool     `json:"cut,omitempty"`    // who asks has not heard of the other for too long
	Healed bool     `json:"healed,omitempty"` // who asks was restarted since

	Topic   string `json:"topic,omitempty"`
	Payload []byte `json:"payload,omitempty"`
}

type reply struct {
	Error   string     `json:"error,omitempty"`
	Schema  string     `json:"schema,omitempty"`
	Members []nodeName `json:"members,omitempty"`
	Loaded  bool       `json:"loaded,omitempty"`
	Booted  bool       `json:"booted,omitempty"`
	Waiting bool       `json:"waiting,omitempty"` // for the tables of a node that outlived this one
	Text    string     `json:"text,omitempty"`
	Pid     int        `json:"pid,omitempty"`

	Started  time.Time `json:"started,omitzero"`
	Licensed bool      `json:"licensed,omitempty"`
	Retained retained  `json:"retained,omitempty"`
}

// messages are the retained ones that an answer brings.
func (r reply) messages() retained {
	if r.Retained == nil {
		return retained{}
	}
	return r.Retained
}

const longestLine = 1 << 20

var errUnreachable = errors.New("host is neither an IP address nor a dotted name")

func cookieHash(cookie string, to nodeName) string {
	sum := sha256.Sum256([]byte(cookie + "\x00" + string(to)))
	return hex.EncodeToString(sum[:])
}

// ask sends one request to the node r.To and returns its reply.
func ask(ctx context.Context, cookie string, r request) (reply, error) {
	conn, answer, err := dial(ctx, cookie, r)
	if err != nil {
		return reply{}, err
	}
	return answer, conn.Close()
}

// dial is ask, but leaves the connection open: it is the sign of life of both ends.
func dial(ctx context.Context, cookie string, r request) (net.Conn, reply, error) {
	number, err := r.To.number()
	if err != nil {
		return nil, reply{}, err
	}
	if !r.To.reachable() {
		return nil, reply{}, fmt.Errorf("reach node '%s': %w", r.To, errUnreachable)
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(r.To.host(), strconv.Itoa(distBase+number)))
	if err != nil {
		return nil, reply{}, fmt.Errorf("reach node '%s': %w", r.To, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	r.Cookie = cookieHash(cookie, r.To)
	var answer reply
	err = errors.Join(
		conn.SetDeadline(time.Now().Add(askTimeout)),
		json.NewEncoder(conn).Encode(r),
		json.NewDecoder(io.LimitReader(conn, longestLine)).Decode(&answer),
		conn.SetDeadline(time.Time{}),
	)
	if err != nil {
		conn.Close()
		return nil, reply{}, fmt.Errorf("ask node '%s': %w", r.To, err)
	}
	return conn, answer, nil
}

// distServer answers the requests that come to one node.
type distServer struct {
	self   nodeName
	cookie string
	log    *nodeLog
	serve  func(ctx context.Context, r request, conn net.Conn) reply
	keep   func(peer nodeName, conn net.Conn) // holds a "hello" connection until it ends
}

func (d *distServer) handle(ctx context.Context, conn net.Conn) {
	var r request
	if conn.SetReadDeadline(time.Now().Add(askTimeout)) != nil {
		return
	}
	line, err := bufio.NewReader(io.LimitReader(conn, longestLine)).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &r) != nil {
		return
	}
	if r.To != d.self || r.Cookie != cookieHash(d.cookie, d.self) {
		// As in Erlang, the other end learns nothing: a wrong cookie looks like a node that is down.
		d.log.printf("error", "** Connection attempt from node '%s' rejected. Invalid challenge reply. **", r.From)
		return
	}
	answer := d.serve(ctx, r, conn)
	err = errors.Join(json.NewEncoder(conn).Encode(answer), conn.SetReadDeadline(time.Time{}))
	if r.Op != opHello || answer.Error != "" {
		return
	}
	if err != nil {
		conn.Close() // keep notes that it is over
	}
	d.keep(r.From, conn)
}
