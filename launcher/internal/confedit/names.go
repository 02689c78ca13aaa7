package confedit

import (
	_ "embed"
	"errors"
	"fmt"
	"path"
	"strings"
)

// names lists the formats as users call them, the dialect that each is, and the names of files that are surely of it. It
// is data because some formats go by the name of the server that reads them.
//
//go:embed names.txt
var names string

// Formats returns the names that Apply and Read take.
func Formats() []string {
	var all []string
	for row := range rows() {
		if row[1] != program {
			all = append(all, row[0])
		}
	}
	return all
}

// FormatOf returns the format of a file by its name, where the name leaves no doubt.
func FormatOf(filename string) (string, bool) {
	base := strings.ToLower(path.Base(filename))
	for row := range rows() {
		for _, glob := range row[2:] {
			if ok, err := path.Match(glob, base); err == nil && ok {
				return row[0], true
			}
		}
	}
	return "", false
}

// program is the dialect of files that are known, and refused.
const program = "program"

// ErrProgram is what is said of a file that is no list of keys and values.
var ErrProgram = errors.New("it is a program, in which no single value can be told and changed: write it whole, or set what it reads from the environment")

// CheckFormat says why files of a format can't be read: the format is not known, or that of programs.
func CheckFormat(format string) error {
	_, err := syntaxOf(format)
	return err
}

func syntaxOf(format string) (syntax, error) {
	for row := range rows() {
		if row[0] != format {
			continue
		}
		if row[1] == program {
			return syntax{}, ErrProgram
		}
		if syn, ok := syntaxFor(row[1]); ok {
			return syn, nil
		}
	}
	return syntax{}, fmt.Errorf("unknown format %q (known: %s)", format, strings.Join(Formats(), ", "))
}

// rows yields the fields of each line of names.
func rows() func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		for line := range strings.Lines(names) {
			fields := strings.Fields(line)
			if len(fields) < 2 || strings.HasPrefix(line, "#") {
				continue
			}
			if !yield(fields) {
				return
			}
		}
	}
}
