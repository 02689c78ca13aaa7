package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// nodeLog is what a node writes: to its standard output, which is the terminal, a supervisor's pipe or
// log/erlang.log.1, and to log/emqx.log.1.
type nodeLog struct {
	mu      sync.Mutex
	console io.Writer
	file    *os.File
}

func openLog(dir string, console io.Writer) (*nodeLog, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "emqx.log.1"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &nodeLog{console: console, file: file}, nil
}

// printf writes one line with its level to both.
func (l *nodeLog) printf(level, format string, args ...any) {
	line := time.Now().Format("2006-01-02T15:04:05.000000-07:00") + " [" + level + "] " + fmt.Sprintf(format, args...) + "\n"
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprint(l.console, line)
	fmt.Fprint(l.file, line)
}

// say writes one bare line to the console alone: how a VM starts, and why it dies.
func (l *nodeLog) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.console, format+"\n", args...)
}

// Close closes the file; the console is the process's own.
func (l *nodeLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
