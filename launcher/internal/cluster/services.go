package cluster

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
)

// Services are the cluster's helper processes. Its methods are for the holder of the operation lock, but for observe, which
// anybody may call.
type Services struct {
	host *node.Host
	log  *slog.Logger

	mu   sync.Mutex // guards list; held for reads and writes of memory only
	list []*service // in the order of the plan
}

// service is one of them. What it has besides its node is for the holder of the operation lock.
type service struct {
	n       *node.Node
	plan    plan.Service // as it was started, or has read its files, last
	watcher *watcher     // nil where nobody starts it again
}

// all are the services that have been started.
func (s *Services) all() []*service {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// set puts the services in force.
func (s *Services) set(list []*service) {
	var nodes []*node.Node
	for _, one := range list {
		nodes = append(nodes, one.n)
	}
	s.host.SetServices(nodes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = list
}

// Start starts the services of the plan that don't run, and makes the others what the plan says.
func (s *Services) Start(ctx context.Context, p *plan.Plan, emit func(control.Event)) error {
	for i := range p.Services {
		if err := s.bring(ctx, p, i, emit); err != nil {
			return err
		}
	}
	return s.drop(ctx, p)
}

// Renew makes those services that run what the plan says: members have come or gone.
func (s *Services) Renew(ctx context.Context, p *plan.Plan, emit func(control.Event)) error {
	for i, one := range s.all() {
		if i < len(p.Services) && one.n.HasProcess() {
			if err := s.bring(ctx, p, i, emit); err != nil {
				return err
			}
		}
	}
	return s.drop(ctx, p)
}

// drop stops services that the plan does not have any more.
func (s *Services) drop(ctx context.Context, p *plan.Plan) error {
	list := s.all()
	if len(list) <= len(p.Services) {
		return nil
	}
	for _, one := range list[len(p.Services):] {
		s.stop(ctx, one, false)
	}
	s.set(list[:len(p.Services)])
	return nil
}

// bring makes the service of the number in the plan run as the plan says.
func (s *Services) bring(ctx context.Context, p *plan.Plan, i int, emit func(control.Event)) error {
	next, list := p.Services[i], s.all()
	emit = ofService(next.Name, emit)
	had := i < len(list)
	if had && list[i].n.HasProcess() {
		one := list[i]
		if reflect.DeepEqual(one.plan, next) {
			return nil
		}
		if done, err := s.refresh(one, next, emit); done || err != nil {
			return err
		}
		s.stop(ctx, one, false)
	}
	one := &service{n: node.New(s.host, nodeOf(p, i)), plan: next}
	if had {
		list[i].watcher.end()
		one.n = list[i].n.With(one.n.Plan) // what its last process has left is cleared
		list[i] = one
	} else {
		list = append(list, one)
	}
	if err := writeService(next); err != nil {
		return one.n.Failed("write its files", err)
	}
	s.set(list)
	if err := one.n.Launch(ctx, node.LaunchOptions{}, emit); err != nil {
		s.stop(context.WithoutCancel(ctx), one, true)
		return err
	}
	one.watcher = watchService(one.n, next.Restart, s.log, emit)
	return nil
}

// refresh writes files that have changed and lets the running service read them, if its plan says how and nothing else has changed.
func (s *Services) refresh(one *service, next plan.Service, emit func(control.Event)) (done bool, err error) {
	same := one.plan
	same.Files = next.Files
	if next.Refresh == "" || !reflect.DeepEqual(same, next) {
		return false, nil
	}
	if err := writeService(next); err != nil {
		return false, one.n.Failed("write its files", err)
	}
	if err := node.Signal(one.n, next.Refresh); err != nil {
		return false, nil // it has just ended
	}
	one.plan = next
	emit(control.Event{Phase: "refreshed"})
	return true, nil
}

// ofService makes the events of one service of those that its node emits.
func ofService(name string, emit func(control.Event)) func(control.Event) {
	return func(e control.Event) {
		e.Node, e.Service = 0, name
		emit(e)
	}
}

// nodeOf is the service of the number in the form in which its process is run.
func nodeOf(p *plan.Plan, i int) plan.Node {
	s := &p.Services[i]
	return plan.Node{Index: node.ServiceIndex(i), Name: s.Name, Folder: s.Folder, Dir: s.Folder, Workdir: s.Folder, Log: s.Log, Command: s.Command, Env: s.Env,
		Listeners: p.ListenersOf(s), Stop: stopOf(p)}
}

// stopOf is how services are stopped. They have the longest time to end in that a node has.
func stopOf(p *plan.Plan) plan.Stop {
	stop := plan.Stop{Signal: "TERM", Discard: "KILL"}
	for _, n := range p.Nodes {
		stop.Grace.Duration = max(stop.Grace.Duration, n.Stop.Grace.Duration)
	}
	return stop
}

// writeService makes the folder of a service and writes its files.
func writeService(s plan.Service) error {
	if err := os.MkdirAll(s.Folder, 0o755); err != nil {
		return err
	}
	for _, f := range s.Files {
		if err := nodedir.WriteFile(s.Folder, f.Path, []byte(f.Text), fs.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	return nil
}

// stop stops one service, with its data to be kept or not. What goes wrong is for the keeper's log alone.
func (s *Services) stop(ctx context.Context, one *service, discard bool) {
	one.watcher.end()
	one.watcher = nil
	if err := node.StopAll(ctx, []*node.Node{one.n}, discard, func(control.Event) {}); err != nil {
		s.log.Error("stop service", "service", one.n.Plan.Name, "err", err)
	}
}

// Stop stops all services, with their data to be kept or not, the one that was started last first.
func (s *Services) Stop(ctx context.Context, discard bool) {
	list := s.all()
	slices.Reverse(list)
	for _, one := range list {
		s.stop(ctx, one, discard)
	}
}

// Close ends the goroutines that start services again. The services run on.
func (s *Services) Close() {
	for _, one := range s.all() {
		one.watcher.end()
	}
}

// watcher starts a service again that has ended by itself.
type watcher struct {
	cancel context.CancelFunc
	over   chan struct{} // closed when its goroutine has ended
}

// A service that ends at once is started again after pauses that grow from the first to the longest; one that ran for calm begins anew. One that
// does not listen in time is stopped, and counts as ended.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	calm         = 10 * time.Second
	listenTime   = time.Minute
)

// watchService starts a service again as restart says, until end.
func watchService(n *node.Node, restart string, log *slog.Logger, emit func(control.Event)) *watcher {
	if restart == "" {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{cancel: cancel, over: make(chan struct{})}
	go func() {
		defer close(w.over)
		keepRunning(ctx, n, restart, log)
	}()
	return w
}

// end ends the watcher and waits for it. A nil one has ended.
func (w *watcher) end() {
	if w != nil {
		w.cancel()
		<-w.over
	}
}

func keepRunning(ctx context.Context, n *node.Node, restart string, log *slog.Logger) {
	silent := func(control.Event) {}
	pause, began := firstPause, time.Now()
	for {
		well, err := node.AwaitExit(ctx, n)
		if err != nil || well && restart == "on-failure" {
			return
		}
		if time.Since(began) > calm {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause, began = min(2*pause, longestPause), time.Now()
		launch, cancel := context.WithTimeoutCause(ctx, listenTime, control.TimeoutError("it does not listen"))
		err = n.Launch(launch, node.LaunchOptions{}, silent)
		cancel()
		if err != nil && ctx.Err() == nil {
			log.Warn("start service again", "service", n.Plan.Name, "err", err)
			if n.HasProcess() {
				if err := n.Kill(ctx); err != nil {
					log.Warn("end service that does not listen", "service", n.Plan.Name, "err", err)
				}
			}
		}
	}
}
