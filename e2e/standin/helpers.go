package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// fileStamp is how data/configs names the time of a start.
const fileStamp = "2006.01.02.15.04.05"

// helperSet is erl_child_setup and what hangs on it: they end when its standard input does.
type helperSet struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	closed atomic.Bool
}

// startHelpers starts the processes that run beside a VM.
func startHelpers(root string, env []string) (*helperSet, error) {
	cmd := exec.Command(filepath.Join(root, ertsDir, "bin", "erl_child_setup"), "1024")
	cmd.Env, cmd.Dir = env, root
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start erl_child_setup: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start erl_child_setup: %w", err)
	}
	return &helperSet{cmd: cmd, stdin: stdin}, nil
}

// wait returns when erl_child_setup has ended, and whether that came unasked.
func (h *helperSet) wait() bool {
	_ = h.cmd.Wait() // how it ended does not matter
	return !h.closed.Load()
}

// Close lets the helpers end; wait tells when.
func (h *helperSet) Close() error {
	h.closed.Store(true)
	return h.stdin.Close()
}

// childSetup is erl_child_setup: it runs the other helpers, each in a session of its own, until its VM is gone.
func (p process) childSetup() int {
	bin := filepath.Dir(p.args[0])
	for _, name := range []string{"inet_gethost", "memsup", "cpu_sup"} {
		cmd := exec.Command(filepath.Join(bin, name))
		cmd.Env = p.env
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		stdin, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			fmt.Fprintf(p.stderr, "erl_child_setup: start %s: %v\n", name, err)
			return 1
		}
		defer func() {
			stdin.Close()
			_ = cmd.Wait()
		}()
	}
	return p.helper()
}

// helper is memsup, cpu_sup or inet_gethost: it does nothing until its standard input ends.
func (p process) helper() int {
	signal.Ignore(syscall.SIGTERM, os.Interrupt)
	if _, err := io.Copy(io.Discard, p.stdin); err != nil {
		return 1
	}
	return 0
}

// epmd listens where $ERL_EPMD_PORT says until it is killed; a second one on the same port ends at once.
func (p process) epmd() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	port := environment(p.env).get("ERL_EPMD_PORT")
	if port == "" {
		port = "4369"
	}
	socket, err := listen("0.0.0.0:" + port)
	if err != nil {
		return 0
	}
	a := accept(socket, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	<-ctx.Done()
	if err := a.Close(); err != nil {
		return 1
	}
	return 0
}

// noHost is how a 4.4 VM ends whose name has no @HOST: a crash dump, and an epmd that nobody stops.
func (v *vm) noHost(p process) error {
	cmd := exec.Command(v.path(ertsDir, "bin", "epmd"), "-daemon")
	cmd.Env = p.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return crash{fmt.Sprintf("start epmd: %v", err)}
	}
	if err := cmd.Process.Release(); err != nil {
		return crash{fmt.Sprintf("release epmd: %v", err)}
	}
	dump := "=erl_crash_dump:0.5\nSlogan: Kernel pid terminated (application_controller) (node name " + string(v.name) + " has no host)\n"
	if err := writeFile(v.path("erl_crash.dump"), dump, 0o644); err != nil {
		return crash{err.Error()}
	}
	v.log.say("Crash dump is being written to: erl_crash.dump...done")
	return crash{"{application_start_failure,kernel,{{shutdown,{failed_to_start_child,net_sup,{'EXIT',nodistribution}}},{kernel,start,[normal,[]]}}}"}
}

// runErl is run_erl: -daemon PIPES LOGS PROGRAM ARGS… It keeps a daemon's VM and gives it log/erlang.log.1.
func (p process) runErl() int {
	if len(p.args) < 6 {
		fmt.Fprintln(p.stderr, "usage: run_erl -daemon PIPES LOGS PROGRAM ARGS...")
		return 2
	}
	pipes, logs := p.args[2], p.args[3]
	log, err := os.OpenFile(filepath.Join(logs, "erlang.log.1"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 1
	}
	defer log.Close()
	for _, side := range []string{"r", "w"} {
		fifo := filepath.Join(pipes, "erlang.pipe.1."+side)
		if err := syscall.Mkfifo(fifo, 0o600); err != nil && !os.IsExist(err) {
			fmt.Fprintf(log, "run_erl: make %s: %v\n", fifo, err)
			return 1
		}
	}
	fmt.Fprintf(log, "\n=====\n===== LOGGING STARTED %s\n=====\n", time.Now().Format(time.ANSIC))
	cmd := exec.Command(p.args[4])
	cmd.Args = p.args[5:]
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, log, log
	signal.Ignore(syscall.SIGHUP)
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(log, "run_erl: %v\n", err)
		return 1
	}
	return 0
}
