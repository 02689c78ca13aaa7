package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// script is one run of bin/emqx or bin/emqx_ctl.
type script struct {
	process
	release
	tool string
	env  environment
	pace pace
}

func newScript(p process, tool, root string) (*script, error) {
	r, err := openRelease(root)
	if err != nil {
		return nil, err
	}
	speed, err := paceFrom(p.env)
	if err != nil {
		return nil, err
	}
	if err := os.Chdir(root); err != nil {
		return nil, fmt.Errorf("enter release: %w", err)
	}
	return &script{process: p, release: r, tool: tool, env: p.env, pace: speed}, nil
}

// run does one command and returns the exit code.
func (s *script) run(ctx context.Context, args []string) int {
	if s.tool == "emqx_ctl" {
		return s.ctl(ctx, args)
	}
	if len(args) == 0 {
		return s.usage()
	}
	switch args[0] {
	case "start":
		return s.start(ctx)
	case "foreground", "console":
		return s.foreground(args[0])
	case "stop":
		return s.stop(ctx)
	case "ping", "pid":
		return s.ping(ctx, args[0])
	case "check_conf", "check_config":
		return s.checkConf(ctx)
	case "ctl":
		if s.is5() {
			return s.ctl(ctx, args[1:])
		}
	}
	return s.usage()
}

func (s *script) usage() int {
	commands := "start|foreground|console|stop|pid|ping|check_conf"
	if s.is5() {
		commands += "|ctl"
	}
	fmt.Fprintf(s.stdout, "Usage: emqx {%s} <help>\n", commands)
	return 1
}

// fail prints one of the script's own errors.
func (s *script) fail(err error) int {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(s.stderr, "ERROR: %s\n", strings.TrimSuffix(line, "\n"))
	}
	return 1
}

// target is the node that a command which starts nothing acts on.
type target struct {
	name   nodeName
	cookie string
}

var errNoArgs = errors.New("no vm.*.args")

// find says which node that is. 4.4 goes by what was started last in this directory; 5.0 by what it sees running, and
// in both a directory that was copied with its data/ acts on the original.
func (s *script) find() (target, error) {
	named := nodeName(cmp.Or(s.env.get("EMQX_NODE_NAME"), s.env.get("EMQX_NODE__NAME")))
	cookie := cmp.Or(s.env.get("EMQX_NODE_COOKIE"), s.env.get("EMQX_NODE__COOKIE"))
	last, lastErr := s.lastStarted()
	if s.tool == "emqx_ctl" && !s.is5() {
		if lastErr != nil {
			return target{}, spoken(fmt.Sprintf("No vm.*.args config file found in %s/", s.path("data", "configs")))
		}
		return last, nil
	}
	if s.is5() {
		if seen, err := s.seen(named); err != nil || seen != nil {
			if err != nil {
				return target{}, err
			}
			return target{cmp.Or(named, seen.name), cmp.Or(cookie, seen.cookie)}, nil
		}
	}
	if lastErr != nil {
		loaded, err := s.load(s.env)
		if err != nil {
			return target{}, err
		}
		last = target{loaded.name, loaded.cookie}
	}
	return target{cmp.Or(named, last.name), cmp.Or(cookie, last.cookie)}, nil
}

// seen looks for running nodes as 5.0's script does: any directory that begins with this one's path counts.
func (s *script) seen(named nodeName) (*vmProcess, error) {
	all, err := findVMs()
	if err != nil {
		return nil, err
	}
	mine := slices.DeleteFunc(all, func(vm vmProcess) bool {
		return !strings.HasPrefix(vm.root, s.root) || (named != "" && vm.name != named)
	})
	switch len(mine) {
	case 0:
		return nil, nil
	case 1:
		return &mine[0], nil
	}
	return nil, spoken(fmt.Sprintf("More than one EMQX node found running (root dir: %s)\n"+
		"Make sure environment variable EMQX_NODE__NAME is set to indicate for which node this command is intended.", s.root))
}

// lastStarted reads the newest data/configs/vm.<time>.args.
func (s *script) lastStarted() (target, error) {
	loaded, err := s.load(s.env)
	if err != nil {
		return target{}, err
	}
	files, err := filepath.Glob(loaded.configs("vm.*.args"))
	if err != nil {
		return target{}, fmt.Errorf("list vm.*.args: %w", err)
	}
	var newest string
	var when time.Time
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return target{}, fmt.Errorf("read vm.*.args: %w", err)
		}
		if newest == "" || info.ModTime().After(when) || info.ModTime().Equal(when) && file > newest {
			newest, when = file, info.ModTime()
		}
	}
	if newest == "" {
		return target{}, errNoArgs
	}
	text, err := os.ReadFile(newest)
	if err != nil {
		return target{}, fmt.Errorf("read vm.*.args: %w", err)
	}
	args := strings.Fields(string(text))
	return target{nodeName(after(args, "-name")), after(args, "-setcookie")}, nil
}

// call boots a VM, so to speak, and asks the target. Its second result is the exit code when there is no answer.
func (s *script) call(ctx context.Context, op string, args []string) (reply, int) {
	to, err := s.find()
	if err != nil {
		return reply{}, s.fail(err)
	}
	if err := s.pace.wait(ctx, ctlBoot); err != nil {
		return reply{}, s.fail(err)
	}
	ping, err := ask(ctx, to.cookie, request{Op: opPing, To: to.name})
	answers := err == nil && (ping.Booted || op != opCtl)
	if answers && op != opPing {
		ping, err = ask(ctx, to.cookie, request{Op: op, To: to.name, Args: args})
		answers = err == nil
	}
	if !answers {
		fmt.Fprintf(s.stderr, "Node '%s' not responding to pings.\n", to.name)
		return reply{}, 1
	}
	return ping, 0
}

func (s *script) ctl(ctx context.Context, args []string) int {
	answer, code := s.call(ctx, opCtl, args)
	fmt.Fprint(s.stdout, answer.Text)
	return code
}

func (s *script) ping(ctx context.Context, what string) int {
	answer, code := s.call(ctx, opPing, nil)
	switch {
	case code != 0:
		return code
	case what == "pid":
		fmt.Fprintln(s.stdout, answer.Pid)
	case !answer.Booted && !s.is5():
		fmt.Fprintln(s.stderr, "Node is not started yet.")
		return 1
	default:
		fmt.Fprintln(s.stdout, "pong")
	}
	return 0
}

// stop asks the node to stop and waits until its process is gone.
func (s *script) stop(ctx context.Context) int {
	answer, code := s.call(ctx, opStop, nil)
	if code != 0 {
		return code
	}
	ctx, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	if !until(ctx, func() bool { return !isVM(answer.Pid) }) {
		fmt.Fprintln(s.stderr, "stop failed, dangling after 60 seconds")
		fmt.Fprintf(s.stdout, "ERROR: %d is still around\n", answer.Pid)
		return 1
	}
	fmt.Fprintln(s.stdout, "ok")
	return 0
}

// checkConf looks at etc/emqx.conf alone, in 4.4 not at what is in etc/plugins.
func (s *script) checkConf(ctx context.Context) int {
	if err := s.pace.wait(ctx, checkTime); err != nil {
		return s.fail(err)
	}
	if err := s.check(); err != nil {
		fmt.Fprintf(s.stdout, "%v\n", err)
		return 1
	}
	fmt.Fprintf(s.stdout, "%s/etc/emqx.conf is ok\n", s.root)
	return 0
}

func (s *script) check() error {
	if s.is5() {
		_, err := s.load(s.env)
		return err
	}
	values, err := s.read44("etc/emqx.conf")
	if err != nil {
		return err
	}
	schema, err := loadSchema44()
	if err != nil {
		return err
	}
	_, err = s.settings44(values)
	return errors.Join(schema.check(values), err)
}
