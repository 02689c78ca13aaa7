package ports

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"
)

// lockTimeout bounds the wait for other processes that are taking leases.
const lockTimeout = 20 * time.Second

// Want is what a lease is to hold. Names are for resources that work like ports
// without being any, such as a number that a server derives ports from, or a
// directory; any text will do, the same text is the same resource.
type Want struct {
	Addrs []Addr
	Names []string
}

// Leased is one port or name that some process holds.
type Leased struct {
	Addr  Addr   // zero for a name
	Name  string // "" for a port
	Owner string // as given to Acquire, perhaps shortened
	PID   int
	lease string // distinguishes the leases of one process
	wire  string // of a name that was listed: what nameKey returned for it
}

// ClashError says who has a port, or a name, that was wanted.
type ClashError struct {
	Addr  Addr   // zero for a name
	Name  string // "" for a port
	Owner string // who leased it; "" if it is in use without a lease
	// Process has or leased it; PID is 0 when the system doesn't say.
	Process Process
}

func (e *ClashError) Error() string {
	what := "port " + e.Addr.String()
	if e.Name != "" {
		what = e.Name
	}
	by := "in use by"
	if e.Owner != "" {
		by = "leased by " + e.Owner + ","
	}
	if e.Process.PID == 0 {
		return fmt.Sprintf("%s is %s another process", what, by)
	}
	return fmt.Sprintf("%s is %s %v", what, by, e.Process)
}

// namespace is where leases live: names that the kernel frees with the process.
type namespace interface {
	// lock excludes every other process, until release is called.
	lock(ctx context.Context) (release func(), err error)
	// hold takes a name; only while it is locked, and after list did not have it.
	hold(l Leased) (io.Closer, error)
	// list returns what all processes hold.
	list() ([]Leased, error)
}

// Lease is a set of ports and names that are this process's until Close, or until
// it dies. Its methods are safe for concurrent use.
type Lease struct {
	space namespace
	id    string
	owner string

	mu   sync.Mutex
	held map[string]io.Closer // by Leased.key; nil after Close
}

// key is the same for the same port or name.
func (l Leased) key() string {
	if l.Name != "" {
		return "name/" + l.nameKey()
	}
	return fmt.Sprintf("port/%s/%d/%s", l.Addr.Proto, l.Addr.Port, l.Addr.ip())
}

// nameKey is the name without slashes, and short enough for where leases live.
func (l Leased) nameKey() string {
	if l.wire != "" {
		return l.wire
	}
	const room, hash = 40, 16
	key := url.PathEscape(l.Name)
	if len(key) <= room {
		return key
	}
	sum := sha256.Sum256([]byte(l.Name))
	return key[:room-hash-1] + "#" + hex.EncodeToString(sum[:])[:hash]
}

// Acquire takes all of it or nothing. owner names for people whose it is. The error
// is a *ClashError when something is leased already, or a port is in use on an
// address that conflicts.
func Acquire(ctx context.Context, want Want, owner string) (*Lease, error) {
	return acquire(ctx, hostNamespace(), want, owner)
}

func acquire(ctx context.Context, space namespace, want Want, owner string) (*Lease, error) {
	l := &Lease{space: space, id: rand.Text()[:8], owner: owner, held: make(map[string]io.Closer)}
	if err := l.Add(ctx, want); err != nil {
		return nil, err
	}
	return l, nil
}

// Leases returns all leases of this host.
func Leases() ([]Leased, error) {
	all, err := hostNamespace().list()
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	return all, nil
}

// Add takes more, all of it or nothing, with the errors of Acquire. What the
// lease already holds is left out.
func (l *Lease) Add(ctx context.Context, want Want) error {
	for _, a := range want.Addrs {
		if err := a.check(); err != nil {
			return fmt.Errorf("lease %w", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		return fmt.Errorf("lease ports: %w", os.ErrClosed)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lockTimeout, errors.New("timed out"))
	defer cancel()
	release, err := l.space.lock(ctx)
	if err != nil {
		return fmt.Errorf("lease ports: %w", err)
	}
	defer release()
	return l.take(l.missing(want))
}

// missing turns the wanted into leases, without duplicates and what is held.
func (l *Lease) missing(want Want) []Leased {
	var all []Leased
	pid := os.Getpid()
	for _, a := range want.Addrs {
		all = append(all, Leased{Addr: a, Owner: l.owner, PID: pid, lease: l.id})
	}
	for _, n := range want.Names {
		all = append(all, Leased{Name: n, Owner: l.owner, PID: pid, lease: l.id})
	}
	seen := make(map[string]bool, len(all))
	return slices.DeleteFunc(all, func(w Leased) bool {
		key := w.key()
		_, held := l.held[key]
		skip := held || seen[key]
		seen[key] = true
		return skip
	})
}

// take takes the leases, while the namespace is locked: all of them or none.
func (l *Lease) take(want []Leased) (err error) {
	others, err := l.space.list()
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	if err := l.clash(want, others); err != nil {
		return err
	}
	if err := inUse(want); err != nil {
		return err
	}
	taken := make(map[string]io.Closer, len(want))
	defer func() {
		if err != nil {
			closeAll(taken)
		}
	}()
	for _, w := range want {
		c, err := l.space.hold(w)
		if err != nil {
			return fmt.Errorf("lease %s: %w", w.key(), err)
		}
		taken[w.key()] = c
	}
	for key, c := range taken {
		l.held[key] = c
	}
	return nil
}

// slot is what two addresses must share to conflict at all.
type slot struct {
	proto Proto
	port  int
}

// clash compares with the leases of others. A lease never clashes with itself.
func (l *Lease) clash(want, others []Leased) error {
	names := make(map[string]Leased)
	ports := make(map[slot][]Leased)
	pid := os.Getpid()
	for _, o := range others {
		switch {
		case o.lease == l.id && o.PID == pid:
		case o.Name != "":
			names[o.nameKey()] = o
		default:
			s := slot{o.Addr.Proto, o.Addr.Port}
			ports[s] = append(ports[s], o)
		}
	}
	for _, w := range want {
		o, found := names[w.nameKey()]
		if w.Name == "" {
			i := slices.IndexFunc(ports[slot{w.Addr.Proto, w.Addr.Port}],
				func(o Leased) bool { return Conflict(o.Addr, w.Addr) })
			if found = i >= 0; found {
				o = ports[slot{w.Addr.Proto, w.Addr.Port}][i]
			}
		}
		if found {
			return &ClashError{Addr: w.Addr, Name: w.Name, Owner: o.Owner, Process: Process{o.PID, programName(o.PID)}}
		}
	}
	return nil
}

// inUse looks for wanted ports that somebody has without a lease.
func inUse(want []Leased) error {
	var addrs []Addr
	for _, w := range want {
		if w.Name == "" {
			addrs = append(addrs, w.Addr)
		}
	}
	busy, err := Busy(addrs)
	if err != nil {
		return err
	}
	if len(busy) == 0 {
		return nil
	}
	p, _ := Holder(busy[0])
	return &ClashError{Addr: busy[0], Process: p}
}

// Release gives back what of it the lease holds.
func (l *Lease) Release(want Want) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := make(map[string]io.Closer)
	give := func(w Leased) {
		if c, ok := l.held[w.key()]; ok {
			gone[w.key()] = c
			delete(l.held, w.key())
		}
	}
	for _, a := range want.Addrs {
		give(Leased{Addr: a})
	}
	for _, n := range want.Names {
		give(Leased{Name: n})
	}
	return closeAll(gone)
}

// Close gives everything back. It may be called twice.
func (l *Lease) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held
	l.held = nil
	return closeAll(held)
}

func closeAll(held map[string]io.Closer) error {
	var errs []error
	for key, c := range held {
		if err := c.Close(); err != nil {
			errs = append(errs, fmt.Errorf("release %s: %w", key, err))
		}
	}
	return errors.Join(errs...)
}
