// Command standin behaves as a release of EMQX 4.4, 5 or 6 does towards whoever starts, configures, probes, clusters and
// stops it: script names, texts, exit codes, ports, files, processes, and the traps. It is not a broker: a client gets
// its CONNACK and no more.
//
// Start with release.go (what is laid out) and script.go (what bin/emqx does); vm.go is the node itself, cluster.go what
// it knows of the others. The facts it mimics, and where each comes from, are in README.md.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Markers in argv[1] that say which process of a release this is; helpers are told by argv[0].
const (
	scriptMark = "-script"
	vmMark     = "-Bd"
)

// process is what a process was started with.
type process struct {
	args   []string
	env    []string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

func main() {
	p := process{args: os.Args, env: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run())
}

func (p process) run() int {
	if len(p.args) > 1 {
		switch p.args[1] {
		case scriptMark:
			return p.runScript()
		case vmMark:
			return p.runVM()
		}
	}
	switch name := filepath.Base(p.args[0]); name {
	case "run_erl":
		return p.runErl()
	case "erl_child_setup":
		return p.childSetup()
	case "memsup", "cpu_sup", "inet_gethost":
		return p.helper()
	case "epmd":
		return p.epmd()
	}
	if len(p.args) == 4 && p.args[1] == "release" {
		if err := layOut(p.args[2], p.args[3]); err != nil {
			fmt.Fprintf(p.stderr, "standin: error: %v\n", err)
			return 1
		}
		return 0
	}
	fmt.Fprintln(p.stderr, "usage: standin release 4.4|5.0|5.8|5.10|6.0 DIR")
	return 2
}

// runScript is bin/emqx and bin/emqx_ctl: -script NAME ROOT ARGS…
func (p process) runScript() int {
	if len(p.args) < 4 {
		fmt.Fprintln(p.stderr, "usage: bin/emqx COMMAND")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := newScript(p, p.args[2], p.args[3])
	if err != nil {
		fmt.Fprintf(p.stderr, "ERROR: %v\n", err)
		return 1
	}
	return s.run(ctx, p.args[4:])
}
