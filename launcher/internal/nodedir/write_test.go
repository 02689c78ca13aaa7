package nodedir

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteFile(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, dir, "etc/a.conf", "out -> "+outside, "etc/link.conf -> a.conf", "etc/evil -> "+outside+"/secret")
	write(t, outside, "secret")
	if err := os.Chmod(filepath.Join(dir, "etc/a.conf"), 0o400); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etc/a.conf", "etc/link.conf", "etc/new/deep.conf", "top", "etc/evil"} {
		if err := WriteFile(dir, name, []byte("new "+name), 0o640); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := ReadFile(dir, name); err != nil || string(b) != "new "+name {
			t.Errorf("%s: got %q, %v", name, b, err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "etc/a.conf")); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("mode is now %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Join(dir, "top")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode of a new file is %v, %v", info.Mode(), err)
	}
	for _, name := range []string{"out/x", "../x", "/etc/x", "out/secret"} {
		if err := WriteFile(dir, name, nil, 0o600); err == nil {
			t.Errorf("%s: written", name)
		}
		if _, err := ReadFile(dir, name); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	if got := list(t, outside); fmt.Sprint(got) != "[secret]" {
		t.Errorf("outside is now %v", got)
	}
	if b, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || !bytes.Equal(b, []byte("secret")) {
		t.Errorf("outside has %q, %v", b, err)
	}
	if got := fmt.Sprint(list(t, dir)); strings.Contains(got, "onemore-tmp") {
		t.Errorf("left: %v", got)
	}
}
