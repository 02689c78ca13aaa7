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

// What an error about a node quotes of its logs at most.
const (
	excerptLines  = 16
	lastLines     = 10  // of a log without a line that matches
	endLines      = 5   // of the log of a process that ended, besides lines that match
	linesBefore   = 2   // a line that matches
	linesAfter    = 3   // likewise: it is often a headline
	excerptLength = 300 // characters of a line
)

// leftOut stands for lines between those that are quoted.
const leftOut = "…"

// excerpt returns the lines of a node's logs that explain a failure, in what it printed since its last start and in what it wrote since into
// the files that it logs to itself: those that the template looks for, with some around them, and the last ones of a process that
// ended; if the template finds none, the last ones.
func excerpt(p plan.Node, s logStart, ended bool) []string {
	texts := logTexts(p, s)
	var want *regexp.Regexp
	if p.Ready.Log != "" {
		want, _ = regexp.Compile(p.Ready.Log) // package template has checked it
	}
	quoted := newExcerpt()
	found := false
	for _, lines := range texts {
		if marks := matching(want, lines); len(marks) > 0 {
			found = true
			quoted.add(lines, marks)
		}
	}
	for _, lines := range texts {
		if !found {
			quoted.add(lines, []span{{max(0, len(lines)-lastLines), len(lines)}})
		} else if ended && len(lines) > 0 {
			quoted.add(lines, []span{{max(0, len(lines)-endLines), len(lines)}})
			break // the files of its own mostly say the same
		}
	}
	return quoted.within(excerptLines)
}

// logTexts are the last lines of a node's logs since its start: what it printed, and each file that it logs to itself.
func logTexts(p plan.Node, s logStart) [][]string {
	texts := [][]string{printed(p.Log, s.at)}
	for _, file := range OwnLogs(p) {
		texts = append(texts, tail(file, s.sizes[file]))
	}
	return texts
}

// span is the lines from one number to before another.
type span struct{ from, to int }

// matching returns the lines that match with some around each, in order, without overlap.
func matching(want *regexp.Regexp, lines []string) []span {
	if want == nil {
		return nil
	}
	var out []span
	for i, l := range lines {
		if !want.MatchString(l) {
			continue
		}
		s := span{max(0, i-linesBefore), min(len(lines), i+1+linesAfter)}
		if last := len(out) - 1; last >= 0 && s.from <= out[last].to {
			out[last].to = s.to
		} else {
			out = append(out, s)
		}
	}
	return out
}

// quotation is an excerpt that is being put together. Servers log to several places: each line is quoted once.
type quotation struct {
	lines []string
	has   map[string]bool
}

func newExcerpt() *quotation { return &quotation{has: map[string]bool{}} }

// add quotes parts of a text.
func (q *quotation) add(lines []string, parts []span) {
	for _, part := range parts {
		gap := len(q.lines) > 0
		for _, l := range lines[part.from:part.to] {
			if l = shortened(l); q.has[l] {
				gap = false // the part goes on where another has quoted it
				continue
			}
			if gap {
				q.lines = append(q.lines, leftOut)
			}
			gap, q.has[l] = false, true
			q.lines = append(q.lines, l)
		}
	}
}

// within returns no more than so many lines: the first ones, which are often the cause, and the last.
func (q *quotation) within(most int) []string {
	if len(q.lines) <= most {
		return q.lines
	}
	first := 1 + linesBefore + linesAfter
	return slices.Concat(q.lines[:first], []string{leftOut}, q.lines[len(q.lines)-most+first+1:])
}

// shortened is a line that is fit to be read.
func shortened(line string) string {
	if r := []rune(line); len(r) > excerptLength {
		return string(r[:excerptLength-1]) + leftOut
	}
	return line
}

// logStart is where in its logs the last start of a node begins.
type logStart struct {
	at    time.Time
	sizes map[string]int64 // of the files that the server logs to itself
}

// logStartNow is that of a node that is started at this moment.
func logStartNow(p plan.Node) logStart {
	s := logStart{at: time.Now().UTC().Truncate(time.Microsecond), sizes: map[string]int64{}} // as its log's times are
	for _, file := range OwnLogs(p) {
		if fi, err := os.Stat(file); err == nil {
			s.sizes[file] = fi.Size()
		}
	}
	return s
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
	for _, l := range tail(log, 0) {
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

// tail returns the last lines of a log, of those behind from: where it began to be of interest, unless it is shorter by now.
func tail(path string, from int64) []string {
	const most = 64 << 10 // bytes
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return []string{fmt.Sprintf("(the log can't be read: %v)", err)}
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil {
		if fi.Size() < from {
			from = 0 // it was begun anew
		}
		_, _ = f.Seek(max(from, fi.Size()-most), io.SeekStart)
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
