package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// parseFlat reads EMQX 4.4's `key = value` form. The last of equal keys wins.
func parseFlat(file, text string) (map[string]string, error) {
	values := map[string]string{}
	var errs []error
	scanner := bufio.NewScanner(strings.NewReader(text))
	for number := 1; scanner.Scan(); number++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.ContainsAny(key, " \t") {
			errs = append(errs, fmt.Errorf("read %s: line %d: want key = value: %s", file, number, line))
			continue
		}
		values[key] = strings.TrimSpace(value)
	}
	if err := scanner.Err(); err != nil {
		errs = append(errs, fmt.Errorf("read %s: %w", file, err))
	}
	return values, errors.Join(errs...)
}

var shippedKey = regexp.MustCompile(`(?m)^#*[ \t]*([a-z][\w.$]*\.[\w.$]+)[ \t]*=`)

// schema44 knows which keys emqx.conf may hold: all that the shipped one shows, set or commented out.
type schema44 map[string]bool

func loadSchema44() (schema44, error) {
	text, err := fs.ReadFile(files, "release/4.4/etc/emqx.conf")
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	s := schema44{}
	for _, match := range shippedKey.FindAllStringSubmatch(string(text), -1) {
		s[anyName(match[1])] = true
	}
	return s, nil
}

// check is what cuttlefish says of keys that no setting goes by.
func (s schema44) check(values map[string]string) error {
	var errs []error
	for _, key := range sortedKeys(values) {
		if strings.Contains(key, ".") && !s[anyName(key)] {
			errs = append(errs, fmt.Errorf("you've tried to set %s, but there is no setting with that name", key))
		}
	}
	return errors.Join(errs...)
}

// anyName replaces the parts of a key that users choose: the name of a listener or a zone, the number of a rule.
func anyName(key string) string {
	parts := strings.Split(key, ".")
	switch {
	case parts[0] == "listener" && len(parts) > 2:
		parts[2] = "$"
	case parts[0] == "zone" && len(parts) > 1:
		parts[1] = "$"
	}
	for i, part := range parts {
		if strings.Trim(part, "0123456789") == "" {
			parts[i] = "$"
		}
	}
	return strings.Join(parts, ".")
}
