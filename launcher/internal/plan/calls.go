package plan

import (
	"fmt"

	"onemore/launcher/internal/template"
)

// texts expands the texts and calls of one template. What is the same for all new nodes is expanded once.
type texts struct {
	t      *template.Template
	shared map[string]string // expanded texts that are the same for all nodes; nil: they are not kept
	grows  bool              // nodes are added one by one, so that each sees a larger cluster than the one before
}

// text expands a text for a node.
func (x *texts) text(src string, d *template.Data) (string, error) {
	if x.shared == nil || !x.t.SameForAll(src) {
		return x.t.Expand(src, d)
	}
	if got, ok := x.shared[src]; ok {
		return got, nil
	}
	got, err := x.t.Expand(src, d)
	if err != nil {
		return "", err
	}
	if !x.grows || !x.t.Reads(src, "Nodes") && !x.t.Reads(src, "N") && !x.t.Reads(src, "First") {
		x.shared[src] = got
	}
	return got, nil
}

// isOn expands the when of something; the empty one is true.
func (x *texts) isOn(when string, d *template.Data) (bool, error) { return isTrue(x.t, when, d) }

// calls expands the calls that are made about a node. Those that need another member are left out where there is none.
func (x *texts) calls(d *template.Data, calls []template.Call) ([]Call, error) {
	var out []Call
	for i := range calls {
		c, err := x.call(d, &calls[i])
		if err != nil {
			return nil, err
		}
		if c != nil {
			out = append(out, *c)
		}
	}
	return out, nil
}

// once expands calls that are made once for each node: those on "first" for the first node of a new cluster alone.
func (x *texts) once(d *template.Data, calls []template.Call, first bool) ([]Call, error) {
	var out []Call
	for i := range calls {
		if calls[i].On == "first" && !first {
			continue
		}
		c, err := x.call(d, &calls[i])
		if err != nil {
			return nil, err
		}
		if c != nil {
			out = append(out, *c)
		}
	}
	return out, nil
}

// refresh expands the steps by which a node takes in who is a member.
func (x *texts) refresh(d *template.Data) ([]Refresh, error) {
	var out []Refresh
	for i := range x.t.Refresh {
		r := &x.t.Refresh[i]
		if r.Signal == "" && !r.Restart {
			c, err := x.call(d, &r.Call)
			if err != nil {
				return nil, err
			}
			if c != nil {
				out = append(out, Refresh{Call: c})
			}
			continue
		}
		on, err := x.isOn(r.When, d)
		if err != nil {
			return nil, err
		}
		if on {
			out = append(out, Refresh{Signal: r.Signal, Restart: r.Restart})
		}
	}
	return out, nil
}

// oneCall is call for a place that may be empty.
func (x *texts) oneCall(d *template.Data, c *template.Call) (*Call, error) {
	if c.HTTP == "" && c.TCP == "" && len(c.Exec) == 0 {
		return nil, nil
	}
	return x.call(d, c)
}

// call expands one call; nil if it is not to be made.
func (x *texts) call(d *template.Data, c *template.Call) (*Call, error) {
	if d.Peer == nil && x.t.NeedsPeer(c) {
		return nil, nil
	}
	on, err := x.isOn(c.When, d)
	if err != nil || !on {
		return nil, err
	}
	out := Call{Call: *c, Node: d.Index}
	if c.On == "peer" {
		out.Node = d.Peer.Index
	}
	out.When = ""
	for _, s := range []*string{
		&out.HTTP, &out.Method, &out.Body, &out.User, &out.TLS, &out.Cert, &out.Key, &out.TCP, &out.Send, &out.Expect, &out.Refuse, &out.Number, &out.Count, &out.JSON,
	} {
		if *s, err = x.text(*s, d); err != nil {
			return nil, fmt.Errorf("call: %w", err)
		}
	}
	out.Exec = nil
	if len(c.Exec) > 0 {
		if out.Exec, err = x.t.ExpandArgs(c.Exec, d); err != nil {
			return nil, fmt.Errorf("call: %w", err)
		}
	}
	if len(c.Header) > 0 {
		out.Header = make(map[string]string, len(c.Header))
		for key, src := range c.Header {
			if out.Header[key], err = x.text(src, d); err != nil {
				return nil, fmt.Errorf("call: %w", err)
			}
		}
	}
	return &out, nil
}
