package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// left lists the living processes, but for this one, whose environment holds the mark. Zombies are dead.
func left(mark string) []string {
	return afterEnd(func() []string { return marked(mark) })
}

// afterEnd is what is found once nothing is, or a minute is over: a process that is just ending is none.
func afterEnd(find func() []string) []string {
	for end := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		if found := find(); len(found) == 0 || time.Now().After(end) {
			return found
		}
	}
}

func marked(mark string) []string {
	var out []string
	envs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range envs {
		pid := filepath.Base(filepath.Dir(f))
		b, err := os.ReadFile(f)
		if err != nil || pid == fmt.Sprint(os.Getpid()) || !strings.Contains("\x00"+string(b), "\x00"+mark+"\x00") {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			continue
		}
		args, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		out = append(out, pid+" "+strings.ReplaceAll(string(args), "\x00", " "))
	}
	return out
}

// listenerOf is the pid of the process that listens on an address; "" if there is none any more.
func listenerOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		const local, state, inode, listens = 1, 3, 9, "0A"
		f := strings.Fields(line)
		if len(f) <= inode || f[state] != listens || !strings.HasSuffix(f[local], fmt.Sprintf(":%04X", number)) {
			continue
		}
		open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
		for _, fd := range open {
			if to, err := os.Readlink(fd); err == nil && to == "socket:["+f[inode]+"]" {
				return filepath.Base(filepath.Dir(filepath.Dir(fd)))
			}
		}
	}
	return ""
}

// ofAnother reports whether a process is a test's own, or belongs to another cluster.
func ofAnother(pid, cluster string) bool {
	const key = "ONEMORE_CLUSTER_ID="
	if pid == strconv.Itoa(os.Getpid()) {
		return true
	}
	b, err := os.ReadFile(filepath.Join("/proc", pid, "environ"))
	if err != nil || len(b) == 0 { // it ended since it was seen: what is left after down doesn't end by itself
		return true
	}
	for v := range strings.SplitSeq(string(b), "\x00") {
		if id, ok := strings.CutPrefix(v, key); ok {
			return id != cluster
		}
	}
	return false
}

// endKeeper ends the keeper that a keeper.json names, if it is that process still.
func endKeeper(file string) {
	var id struct {
		PID   int    `json:"pid"`
		Start uint64 `json:"start"`
		Boot  string `json:"boot"`
	}
	b, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(b, &id) != nil {
		return
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id.PID))
	if err != nil {
		return
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) > 19 && fields[19] == fmt.Sprint(id.Start) {
		_ = syscall.Kill(id.PID, syscall.SIGTERM)
	}
}

// raceLog is the variable by which keepers and nodes, whose standard error nobody reads, write the data races that they
// find (under -race) to files in a home; races reads them.
func raceLog(home string) string { return "GORACE=log_path=" + filepath.Join(home, "_race") }

func races(home string) []string {
	var out []string
	files, _ := filepath.Glob(filepath.Join(home, "_race.*"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			text = []byte(err.Error())
		}
		out = append(out, fmt.Sprintf("a data race, in %s:\n%s", filepath.Base(f), text))
	}
	return out
}
