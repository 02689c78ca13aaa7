// Command hider is a server of two processes for the tests of what is left: the first listens on a port and starts the second,
// which has a session of its own, an emptied environment, and a title written over both.
//
//	hider PORT PORT2 cwd|file|late|none
//
// The second listens on PORT2. What it has of the node's folder: its working directory, an open file, or nothing. late is cwd,
// and ends a while after TERM, with a file "ended".
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hider:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: hider PORT PORT2 cwd|file|late|none")
	}
	if args[0] == "hidden" {
		return hide(args[1], args[2])
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child, err := os.StartProcess(self, []string{self, "hidden", args[1], args[2]},
		&os.ProcAttr{Env: []string{}, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		return err
	}
	defer child.Release()
	ln, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	if err != nil {
		return err
	}
	defer ln.Close()
	<-ended
	return nil
}

// hide is the second process.
func hide(port, has string) error {
	port, has = strings.Clone(port), strings.Clone(has) // the arguments are where the title goes
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	if has == "file" {
		f, err := os.Create("hidden.log")
		if err != nil {
			return err
		}
		defer f.Close()
	}
	if has == "file" || has == "none" {
		if err := os.Chdir("/"); err != nil {
			return err
		}
	}
	if err := overwrite("hidden: of the tests, port " + port); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	defer ln.Close()
	<-ended
	if has == "late" {
		<-time.After(300 * time.Millisecond)
		return os.WriteFile("ended", []byte("in order"), 0o644)
	}
	return nil
}

// overwrite writes a title over the command line and the environment, as servers do.
func overwrite(title string) error {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return err
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	const argStart, envEnd = 48 - 3, 51 - 3 // as proc(5) numbers them, after the name
	from, err := strconv.ParseInt(fields[argStart], 10, 64)
	if err != nil {
		return err
	}
	to, err := strconv.ParseInt(fields[envEnd], 10, 64)
	if err != nil {
		return err
	}
	mem, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	text := make([]byte, to-from)
	copy(text, title)
	_, err = mem.WriteAt(text, from)
	return err
}
