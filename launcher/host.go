package launcher

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
)

// hostView is what a plan must know of this host's ports and of the environment, and the ports in the form in which it was read.
func hostView() (plan.Host, ports.View, error) {
	v, err := ports.Observe()
	if err != nil {
		return plan.Host{}, v, fmt.Errorf("look at the host's ports: %w", err)
	}
	h := plan.Host{EphemeralLow: v.EphemeralLow, EphemeralHigh: v.EphemeralHigh}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		h.Variables = append(h.Variables, name)
	}
	for _, s := range v.Sockets {
		h.Used = append(h.Used, plan.Port{Proto: string(s.Proto), Host: s.Host.String(), Port: s.Port})
	}
	for _, l := range v.Leases {
		if l.Addr.Port != 0 {
			h.Used = append(h.Used, plan.Port{Proto: string(l.Addr.Proto), Host: l.Addr.Host, Port: l.Addr.Port})
		}
	}
	return h, v, nil
}

// planError turns an error of the plan into an *InputError or, for a port that is taken, a *Failure that names its holder: a node of
// another cluster where that is one in home.
func planError(err error, v ports.View, home string) error {
	p, ok := errors.AsType[*plan.PortError](err)
	if _, refused := errors.AsType[*plan.Refusal](err); refused || !ok {
		return inputError(err)
	}
	a := ports.Addr{Proto: ports.Proto(p.Proto), Host: p.Host, Port: p.Port}
	if i := slices.IndexFunc(v.Leases, func(l ports.Leased) bool { return ports.Conflict(l.Addr, a) }); i >= 0 {
		l := v.Leases[i]
		p.Holder = cluster.LeasedBy(home, l)
	} else if h, ok := ports.Holder(a); ok {
		p.Holder = fmt.Sprintf("%s (pid %d)", h.Name, h.PID)
	}
	return &Failure{Node: p.Node, Why: p.Error(), Hint: p.Hint, Taken: plan.Port{Proto: p.Proto, Host: p.Host, Port: p.Port}}
}

// inputError turns a plan's refusal into an *InputError; other errors stay as they are.
func inputError(err error) error {
	if r, ok := errors.AsType[*plan.Refusal](err); ok {
		return &InputError{Err: err, Hint: r.Hint}
	}
	return err
}

func (o Options) checkSpread() error {
	if o.Spread != "" && o.Spread != "address" && o.Spread != "port" {
		return &InputError{Err: fmt.Errorf("--spread %q", o.Spread), Hint: "use port or address"}
	}
	return nil
}

// checkHost refuses what is no address of this host by which nodes can reach each other.
func (o Options) checkHost() error {
	if o.Host == "" {
		return nil
	}
	why, hint := "", "127.0.0.1, which is used without --host, always works"
	addr, err := netip.ParseAddr(o.Host)
	switch {
	case err != nil:
		why = "not an IP address"
	case addr.IsUnspecified():
		why, hint = "no address by which nodes can reach each other", "give one of this host's own addresses"
	case addr.IsMulticast():
		why = "not an address of this host"
	default:
		l, err := net.Listen("tcp", net.JoinHostPort(o.Host, "0"))
		if err != nil {
			why = "not an address of this host"
		} else if err := l.Close(); err != nil {
			return err
		}
	}
	if why == "" {
		return nil
	}
	return &InputError{Err: fmt.Errorf("%s: %q is %s", o.label("host"), o.Host, why), Hint: hint}
}
