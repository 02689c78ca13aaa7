package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// vmProcess is a node as `ps` shows it.
type vmProcess struct {
	pid    int
	root   string
	name   nodeName
	cookie string
}

// findVMs lists the nodes that run on this host, those of any other directory too.
func findVMs() ([]vmProcess, error) {
	lines, err := commandLines()
	if err != nil {
		return nil, err
	}
	var found []vmProcess
	for pid, args := range lines {
		if len(args) > 1 && args[1] == vmMark {
			found = append(found, vmProcess{
				pid: pid, root: after(args, "-root"),
				name: nodeName(after(args, "-name")), cookie: after(args, "-setcookie"),
			})
		}
	}
	return found, nil
}

func commandLines() (map[int][]string, error) {
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		return psLines()
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	lines := map[int][]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		lines[pid] = strings.Split(string(bytes.TrimRight(text, "\x00")), "\x00")
	}
	return lines, nil
}

// psLines is for hosts without /proc.
func psLines() (map[int][]string, error) {
	out, err := exec.Command("ps", "-ww", "-axo", "pid=,args=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	lines := map[int][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if pid, err := strconv.Atoi(fields[0]); err == nil {
			lines[pid] = fields[1:]
		}
	}
	return lines, nil
}

// isVM tells whether a process is (still) a node; a zombie has no command line, so it is none.
func isVM(pid int) bool {
	found, err := findVMs()
	if err != nil {
		return true
	}
	for _, vm := range found {
		if vm.pid == pid {
			return true
		}
	}
	return false
}
