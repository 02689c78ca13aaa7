package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"onemore/launcher/internal/plan"
)

// excerptLines is how many lines of its logs an error about a node quotes at most.
const excerptLines = 10

// excerpt returns the lines of a node's logs that explain a failure: those that the template looks for, in what the node
// printed since it was started and in the files that it logs to itself; if there are none, the last ones.
func excerpt(p plan.Node, since time.Time) []string {
	texts := [][]string{printed(p.Log, since)}
	for _, file := range OwnLogs(p) {
		texts = append(texts, tail(file))
	}
	lines := lastText(texts)
	if want := p.Ready.Log; want != "" {
		if re, err := regexp.Compile(want); err == nil {
			if found := matching(re, texts); len(found) > 0 {
				lines = found
			}
		}
	}
	return lines[max(0, len(lines)-excerptLines):]
}

// lastText returns the first text that has any lines: what the node printed, before the files of its own.
func lastText(texts [][]string) []string {
	for _, lines := range texts {
		if len(lines) > 0 {
			return lines
		}
	}
	return nil
}

// matching returns the lines that match, each once: servers log to several places.
func matching(re *regexp.Regexp, texts [][]string) []string {
	var found []string
	for _, lines := range texts {
		for _, l := range lines {
			if re.MatchString(l) && !slices.Contains(found, l) {
				found = append(found, l)
			}
		}
	}
	return found
}

// OwnLogs are the regular files that the server logs to besides its output.
func OwnLogs(p plan.Node) []string {
	var files []string
	for _, glob := range p.Ready.LogFiles {
		found, _ := filepath.Glob(filepath.Join(globLiteral(p.Dir), filepath.FromSlash(glob)))
		for _, file := range found {
			if fi, err := os.Lstat(file); err == nil && fi.Mode().IsRegular() {
				files = append(files, file)
			}
		}
	}
	return files
}

// globLiteral is a path that matches itself.
func globLiteral(path string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(path)
}

// printed returns the last lines that a node printed since then, without their times.
func printed(log string, since time.Time) []string {
	var lines []string
	for _, l := range tail(log) {
		stamp, text, _ := strings.Cut(l, " ")
		if at, err := time.Parse(LogTime, stamp); err == nil && at.Before(since) {
			continue
		}
		if strings.TrimSpace(text) != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

// tail returns the last lines of a log.
func tail(path string) []string {
	const most = 64 << 10 // bytes
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return []string{fmt.Sprintf("(the log can't be read: %v)", err)}
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	data, _ := io.ReadAll(io.LimitReader(f, most))
	var lines []string
	for l := range strings.Lines(string(data)) {
		if l = strings.TrimRight(l, "\r\n"); strings.TrimSpace(l) != "" {
			lines = append(lines, l)
		}
	}
	return lines
}
