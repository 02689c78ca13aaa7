package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"golang.org/x/sys/unix"
)

// HomeVariable names the environment variable that overrides Home's default.
const HomeVariable = "ONEMORE_HOME"

// maxName keeps directory and socket names within what every system takes.
const maxName = 40

// Home returns the directory that holds one folder per cluster: $ONEMORE_HOME,
// else $XDG_STATE_HOME/onemore, else ~/.local/state/onemore; always absolute. It
// makes the directory, with mode 0700, when it is missing, and refuses one that
// can't be written.
func Home() (string, error) {
	dir, err := homePath()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make state directory %q: %w (set %s to a directory that can be written)",
			dir, bare(err), HomeVariable)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return "", fmt.Errorf("use state directory %q: %w (set %s to a directory that can be written)",
			dir, err, HomeVariable)
	}
	return dir, nil
}

func homePath() (string, error) {
	if dir := os.Getenv(HomeVariable); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("resolve %s %q: %w", HomeVariable, dir, err)
		}
		return abs, nil
	}
	// The XDG specification wants relative paths ignored.
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "onemore"), nil
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a state directory: %w (set %s)", err, HomeVariable)
	}
	return filepath.Join(user, ".local", "state", "onemore"), nil
}

// bare strips the path from an error whose message names it already.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

var namePattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`) })

// ValidName says why the text can't name a cluster, or returns nil.
func ValidName(name string) error {
	switch {
	case name == "":
		return errors.New("cluster name is empty")
	case len(name) > maxName:
		return fmt.Errorf("cluster name %q has %d bytes: at most %d are allowed", name, len(name), maxName)
	case !namePattern().MatchString(name):
		return fmt.Errorf("cluster name %q is not valid: letters, digits, '.', '_' and '-', "+
			"with a letter or digit at both ends", name)
	}
	return nil
}
