package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// vm is the node itself: the process that real releases call beam.smp.
type vm struct {
	settings
	pace   pace
	faults faults
	log    *nodeLog

	cluster *cluster
	dist    *acceptor
	rpc     io.Closer
	booted  atomic.Bool
	seeking sync.WaitGroup // what goes out to other nodes
	wg      sync.WaitGroup // everything that ends when the helpers do
}

// crash is an end with a reason, as opposed to an orderly stop.
type crash struct{ reason string }

func (c crash) Error() string { return c.reason }

var errStopped = errors.New("asked to stop")

// vmArgs is the command line of a node: `ps` shows its short name, its directory, its name and its cookie.
func vmArgs(s settings, mode, stamp string) []string {
	return []string{
		s.name.short(), vmMark, "-noshell", "--", "-root", s.root, "-progname", "erl", "--", "-home", s.root, "--",
		"-boot", s.path("releases", s.version, "emqx"), "-mnesia", "dir", `"` + s.mnesiaDir() + `"`,
		"-config", s.configs("app." + stamp + ".config"),
		"-args_file", s.configs("vm." + stamp + ".args"),
		"-name", string(s.name), "-setcookie", s.cookie, "--", mode,
	}
}

func (s settings) mnesiaDir() string { return filepath.Join(s.dataDir, "mnesia", string(s.name)) }

// after is the argument that follows a flag.
func after(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// runVM runs a node until it is stopped (exit code 0) or can't go on (1).
func (p process) runVM() int {
	v, err := p.newVM(after(p.args, "-root"))
	if err != nil {
		fmt.Fprintf(p.stdout, "init terminating in do_boot (%v)\n", err)
		return 1
	}
	defer v.log.Close()
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	if v.faults[faultIgnoreTerm] {
		signal.Ignore(syscall.SIGTERM, os.Interrupt)
	} else {
		signals, release := signal.NotifyContext(ctx, syscall.SIGTERM)
		defer release()
		context.AfterFunc(signals, func() { stop(errStopped) })
	}
	err = v.run(ctx, stop, p)
	v.wg.Wait()
	if reason, ok := errors.AsType[crash](err); ok {
		v.log.say("{\"Kernel pid terminated\",application_controller,\"%s\"}", reason.reason)
		v.log.say("Kernel pid terminated (application_controller) (%s)", reason.reason)
		return 1
	}
	return 0
}

func (p process) newVM(root string) (*vm, error) {
	r, err := openRelease(root)
	if err != nil {
		return nil, err
	}
	env := environment(p.env)
	s, err := r.load(env)
	if err != nil {
		return nil, err
	}
	speed, err := paceFrom(env)
	if err != nil {
		return nil, err
	}
	wrong, err := faultsFrom(env, s.name)
	if err != nil {
		return nil, err
	}
	log, err := openLog(r.path("log"), p.stdout)
	if err != nil {
		return nil, err
	}
	return &vm{settings: s, pace: speed, faults: wrong, log: log}, nil
}

func (v *vm) run(ctx context.Context, stop context.CancelCauseFunc, p process) error {
	if v.faults[faultExit] {
		return crash{"{application_start_failure,emqx,{bad_return,{emqx_app,start,fault}}}"}
	}
	if v.name.host() == "" {
		return v.noHost(p)
	}
	helpers, err := startHelpers(v.root, p.env)
	if err != nil {
		return crash{err.Error()}
	}
	v.wg.Go(func() {
		if helpers.wait() {
			stop(crash{"erl_child_setup closed"})
		}
	})
	defer helpers.Close()
	if v.faults[faultChatty] {
		go v.chatter(ctx, p.stdout) // not joined: nothing ends a write to a pipe that nobody reads
	}
	if v.faults[faultNoListen] {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	defer v.shutDown()
	if err := v.boot(ctx, stop); err != nil {
		stop(err)
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// boot opens the ports in the real one's order. It returns when the node serves, or with a crash, or when ctx is over.
func (v *vm) boot(ctx context.Context, stop context.CancelCauseFunc) error {
	if err := v.openDist(ctx, stop); err != nil {
		return err
	}
	if err := v.pace.wait(ctx, bootTime/3); err != nil {
		return err
	}
	if err := v.cluster.load(ctx); err != nil {
		return err
	}
	v.cluster.apps.start(ctx)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := v.pace.wait(ctx, bootTime/3); err != nil {
		return err
	}
	v.booted.Store(true)
	v.log.say("EMQX %s is running now!", v.version)
	if v.discovery == "static" && !v.faults[faultNoJoin] {
		v.seeking.Go(func() { seeker{changer{v.cluster}, v.seeds}.run(ctx) })
	}
	return nil
}

// openDist opens the dist and rpc ports and begins to answer other nodes and bin/emqx.
func (v *vm) openDist(ctx context.Context, stop context.CancelCauseFunc) error {
	number, err := v.name.number()
	if err != nil {
		return crash{err.Error()}
	}
	socket, err := listen(fmt.Sprintf("0.0.0.0:%d", distBase+number))
	if err != nil {
		return crash{fmt.Sprintf("Protocol 'inet_tcp': register/listen error: %s", reasonOf(err))}
	}
	if v.cluster, err = v.openCluster(func(err error) { stop(err) }); err != nil {
		socket.Close()
		return crash{err.Error()}
	}
	k := controls{settings: v.settings, cluster: v.cluster, booted: v.booted.Load, stop: func() {
		if !v.faults[faultIgnoreTerm] {
			stop(errStopped)
		}
	}}
	server := &distServer{self: v.name, cookie: v.cookie, log: v.log, keep: v.cluster.hold}
	server.serve = func(ctx context.Context, r request, conn net.Conn) reply {
		switch r.Op {
		case opPing, opStop, opCtl:
			return k.serve(ctx, r)
		}
		return v.cluster.serve(ctx, r, conn)
	}
	v.dist = accept(socket, func(conn net.Conn) { server.handle(ctx, conn) })
	v.seeking.Go(func() { v.cluster.mend(ctx) })
	if v.rpc, err = openRPC(number); err != nil {
		return crash{fmt.Sprintf("{application_start_failure,gen_rpc,{{shutdown,{failed_to_start_child,"+
			"gen_rpc_server_tcp,%s}},port %d}}", reasonOf(err), rpcBase+number)}
	}
	return nil
}

// openFront opens the MQTT listeners; one that is taken ends the node.
func (v *vm) openFront(ctx context.Context) (front []io.Closer, err error) {
	certificate := sync.OnceValues(selfSigned)
	for _, l := range v.mqtt {
		if l.kind == "wss" && v.faults[faultMissing] {
			v.log.printf("error", "Failed to start %s on %s: fault", l.label, l.addr)
			continue
		}
		open, err := openMQTT(l, certificate, messages{v.cluster})
		if err != nil {
			v.log.say("Failed to start listener %s on %s: %s", l.label, l.addr, reasonOf(err))
			// The real one takes its time to die of it.
			if err := v.pace.wait(ctx, bootTime/2); err != nil {
				return front, err
			}
			return front, crash{fmt.Sprintf("{application_start_failure,emqx,{{shutdown,{failed_to_start_child,'%s',"+
				"{listen_error,\\\"%s\\\",%s}}},{emqx_app,start,[normal,[]]}}}", l.label, l.addr, reasonOf(err))}
		}
		front = append(front, open)
		v.log.say("Start %s listener on %s successfully.", l.label, l.addr)
	}
	return front, nil
}

// openWeb opens the management and dashboard ports. In 4.4 they are plugins, and the node lives on without one.
func (v *vm) openWeb() (front []io.Closer, err error) {
	w := web{settings: v.settings, view: v.cluster.view, booted: v.booted.Load}
	for _, l := range v.web {
		open, err := w.open(l, v.pace)
		switch {
		case err == nil:
			front = append(front, open)
			v.log.say("Start %s listener on %s successfully.", l.label, l.addr)
		case v.is5():
			return front, crash{fmt.Sprintf("{application_start_failure,emqx_dashboard,{listen_error,\\\"%s\\\",%s}}", l.addr, reasonOf(err))}
		default:
			v.log.printf("error", "Load plugin emqx_%s failed: start %s listener on %s: %s", l.kind, l.label, l.addr, reasonOf(err))
		}
	}
	return front, nil
}

// shutDown closes what clients see first, then leaves its peers.
func (v *vm) shutDown() {
	if v.cluster != nil {
		v.cluster.freeze()
		v.cluster.apps.stopForGood()
	}
	v.booted.Store(false)
	if v.cluster != nil {
		_ = v.pace.wait(context.Background(), stopTime)
	}
	if v.dist != nil {
		v.dist.Close()
	}
	if v.rpc != nil {
		v.rpc.Close()
	}
	v.seeking.Wait()
	if v.cluster != nil {
		v.cluster.close()
	}
}

// reasonOf is an error of the network as Erlang names it.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "eaddrinuse"
	case errors.Is(err, syscall.EACCES):
		return "eacces"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "eaddrnotavail"
	}
	return strings.ReplaceAll(err.Error(), `"`, "'")
}

// chatter writes a gigabyte of log, unless the node is stopped before.
func (v *vm) chatter(ctx context.Context, out io.Writer) {
	const total, line = 1 << 30, "2022-01-01T00:00:00.000000+00:00 [debug] msg: chatter, mfa: standin:chatter/1, line: 1\n"
	block := []byte(strings.Repeat(line, 512))
	for written := 0; written < total && ctx.Err() == nil; written += len(block) {
		if _, err := out.Write(block); err != nil {
			return
		}
	}
}
