package project

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

//go:embed sample.toml
var sample string

// Sample is a commented project file that sets what p has of cluster, template, source and nodes; all other keys are comments.
func Sample(p Project) string {
	out := sample
	for key, value := range map[string]string{"cluster": quoted(p.Cluster), "template": quoted(p.Template), "source": quoted(p.Source), "nodes": number(p.Nodes)} {
		if value == "" {
			continue
		}
		lines := strings.Split(out, "\n")
		for i, l := range lines {
			if strings.HasPrefix(l, "# "+key+" = ") || strings.HasPrefix(l, key+" = ") {
				lines[i] = key + " = " + value
				break
			}
		}
		out = strings.Join(lines, "\n")
	}
	return out
}

// Write makes a new file with the text; it replaces none. The error wraps fs.ErrExist when there is one.
func Write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: %w", path, fs.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("write project file: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write project file: %w", err), os.Remove(path))
	}
	return nil
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	b, err := json.Marshal(s) // TOML has the same escapes
	if err != nil {
		panic(err) // a string can always be marshaled
	}
	return string(b)
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
