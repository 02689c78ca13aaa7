package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// prepare checks the name and writes what every start writes: data/configs, log, and 5.0's own files.
func (s *script) prepare() (settings, string, error) {
	loaded, err := s.load(s.env)
	if err != nil {
		return settings{}, "", err
	}
	if err := loaded.name.checkShort(); err != nil {
		return settings{}, "", err
	}
	if s.is5() && loaded.name.host() == "" {
		return settings{}, "", nodeName("").checkShort()
	}
	stamp := time.Now().Format(fileStamp)
	files := map[string]string{
		loaded.configs("app." + stamp + ".config"): fmt.Sprintf("[{node,[{name,'%s'}]}].\n", loaded.name),
		loaded.configs("vm." + stamp + ".args"):    fmt.Sprintf("-name %s\n-setcookie %s\n", loaded.name, loaded.cookie),
	}
	if s.is5() {
		for _, name := range []string{"cluster.uuid", "node.uuid", "trace/.keep"} {
			file := filepath.Join(loaded.dataDir, name)
			if _, err := os.Stat(file); err != nil {
				files[file] = newSchema("").ID + "\n"
			}
		}
	}
	for file, text := range files {
		if err := writeFile(file, text, 0o644); err != nil {
			return settings{}, "", fmt.Errorf("prepare start: %w", err)
		}
	}
	if err := os.MkdirAll(s.path("log"), 0o755); err != nil {
		return settings{}, "", fmt.Errorf("prepare start: %w", err)
	}
	return loaded, stamp, nil
}

// foreground becomes the VM; it returns only when that fails.
func (s *script) foreground(mode string) int {
	loaded, stamp, err := s.prepare()
	if err != nil {
		return s.fail(err)
	}
	wrong, err := faultsFrom(s.env, loaded.name)
	if err != nil {
		return s.fail(err)
	}
	program, args := s.path(ertsDir, "bin", "beam.smp"), vmArgs(loaded, mode, stamp)
	if !wrong[faultFork] {
		return s.fail(fmt.Errorf("run %q: %w", program, syscall.Exec(program, args, s.env)))
	}
	cmd := &exec.Cmd{
		Path: program, Args: args, Env: s.env, Stdout: os.Stdout, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		return s.fail(err)
	}
	if err := cmd.Process.Release(); err != nil {
		return s.fail(err)
	}
	return 0
}

// Exit codes of `start`. 4.4 has but one for every failure.
const (
	startedOK        = 0
	startDead        = 1
	startUnpingable  = 2
	startNeverBooted = 3
)

// Bounds that are not scaled: a node that only needs longer is waited for.
const (
	startMost = 30 * time.Second
	stopWait  = 3 * time.Second
)

// start runs a node as a daemon and returns when it answers, or after a long wait.
func (s *script) start(ctx context.Context) int {
	loaded, stamp, err := s.prepareDaemon(ctx)
	if err != nil {
		return s.fail(err)
	}
	if stamp == "" {
		fmt.Fprintf(s.stdout, "Node %s is already running!\n", loaded.name)
		return startDead
	}
	ended, err := s.daemon(loaded, stamp)
	if err != nil {
		return s.fail(err)
	}
	if loaded.name.host() == "" {
		<-ended
		_ = s.pace.wait(ctx, noHostTime) // a signal shortens it, no more
		return s.failed(startDead, waitSeconds44)
	}
	code, seconds := s.await(ctx, loaded, ended)
	if code != startedOK {
		return s.failed(code, seconds)
	}
	fmt.Fprintf(s.stdout, "EMQX %s is started successfully!\n", s.version)
	return startedOK
}

// prepareDaemon refuses to start a node that runs: 4.4 asks whoever has the name, 5.0 looks for its own directory.
// An empty stamp says that 4.4 found one.
func (s *script) prepareDaemon(ctx context.Context) (settings, string, error) {
	loaded, err := s.load(s.env)
	if err != nil {
		return settings{}, "", err
	}
	if s.is5() {
		all, err := findVMs()
		if err != nil {
			return settings{}, "", err
		}
		if slices.ContainsFunc(all, func(vm vmProcess) bool { return vm.root == s.root }) {
			return settings{}, "", spoken("node_is_already_running!")
		}
	} else if _, err := pingOnce(ctx, loaded); err == nil && loaded.name.host() != "" {
		return loaded, "", nil
	}
	return s.prepare()
}

// daemon starts run_erl in a session of its own; the channel closes when it, and with it the VM, has ended.
func (s *script) daemon(loaded settings, stamp string) (<-chan struct{}, error) {
	pipes := filepath.Join(filepath.Dir(loaded.configs()), whoami(s.env)+"_erl_pipes", string(loaded.name))
	if err := os.MkdirAll(pipes, 0o755); err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	args := append([]string{"-daemon", pipes, s.path("log"), s.path(ertsDir, "bin", "beam.smp")}, vmArgs(loaded, "console", stamp)...)
	cmd := exec.Command(s.path(ertsDir, "bin", "run_erl"), args...)
	cmd.Env = s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	ended := make(chan struct{})
	// Not joined: this script ends long before the daemon.
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	return ended, nil
}

// await polls until the node answers, or the wait is over and it is certain that it never will.
func (s *script) await(ctx context.Context, loaded settings, ended <-chan struct{}) (code, seconds int) {
	least, seconds := s.patience()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, startMost)
	defer cancel()
	code = startUnpingable
	until(ctx, func() bool {
		answer, err := pingOnce(ctx, loaded)
		if err == nil && answer.Booted {
			code = startedOK
			return true
		}
		over := time.Since(begun) >= least
		select {
		case <-ended:
			code = startDead
			return over
		default:
		}
		if err != nil {
			code = startUnpingable
			return over && s.hopeless(loaded)
		}
		code = startNeverBooted
		return over && answer.Waiting
	})
	return code, seconds
}

// pingOnce does not wait long for a stranger that has the port and says nothing.
func pingOnce(ctx context.Context, loaded settings) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return ask(ctx, loaded.cookie, request{Op: opPing, To: loaded.name})
}

// patience is how long `start` waits, on this program's scale and in the script's own seconds.
func (s *script) patience() (time.Duration, int) {
	whole, seconds, name := giveUp44, waitSeconds44, "WAIT_FOR_ERLANG"
	if s.is5() {
		whole, seconds, name = giveUp50, waitSeconds50, "EMQX_WAIT_FOR_START"
	}
	if asked, err := strconv.Atoi(s.env.get(name)); err == nil && asked > 0 {
		whole = whole * time.Duration(asked) / time.Duration(seconds)
		seconds = asked
	}
	return s.pace.of(whole), seconds
}

// hopeless tells whether a node that runs can never be reached under its name.
func (s *script) hopeless(loaded settings) bool {
	if wrong, err := faultsFrom(s.env, loaded.name); err != nil || wrong[faultNoListen] {
		return true
	}
	return !loaded.name.reachable() || !isLocal(loaded.name.host())
}

// isLocal tells whether a host's address is one of this machine's. A host that has a name is taken to be.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	if ip == nil || ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(addrs, func(addr net.Addr) bool {
		own, ok := addr.(*net.IPNet)
		return ok && own.IP.Equal(ip)
	})
}

func (s *script) failed(code, seconds int) int {
	if s.is5() {
		fmt.Fprintf(s.stderr, "ERROR: EMQX %s failed to start within %d seconds\n", s.version, seconds)
		return code
	}
	fmt.Fprintf(s.stdout, "EMQX Broker %s failed to start within %d seconds,\n"+
		"see the output of '%s console' for more information.\n"+
		"If you want to wait longer, set the environment variable\n"+
		"WAIT_FOR_ERLANG to the number of seconds to wait.\n", s.version, seconds, s.path("bin", "emqx"))
	return startDead
}

func whoami(env environment) string {
	if os.Getuid() == 0 {
		return "root"
	}
	if user := env.get("USER"); user != "" && !strings.Contains(user, "/") {
		return user
	}
	return strconv.Itoa(os.Getuid())
}
