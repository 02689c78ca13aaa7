package proc

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestStartErrorNamesTheThing: one ENOENT and one EACCES of the kernel have many causes; the error has the one that is there.
func TestStartErrorNamesTheThing(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	gone, locked := filepath.Join(dir, "gone"), filepath.Join(dir, "locked")
	if err := os.Mkdir(locked, 0o600); err != nil {
		t.Fatal(err)
	}
	plain := file("plain", "exit 0\n", 0o755)
	script := file("script", "#!/bin/sh\nexit 0\n", 0o755)
	noBash := file("nobash", "#! "+gone+"/bash -e\n", 0o755)
	nested := file("nested", "#!"+noBash+"\n", 0o755)
	dos := file("dos", "#!/bin/sh\r\nexit 0\r\n", 0o755)
	file("lame", "#!/bin/sh\n", 0o644)
	loaderless := file("loaderless", withoutLoader(t), 0o755)
	for _, tt := range []struct {
		name string
		spec Spec
		want string
		err  error
	}{
		{"working directory", Spec{Args: []string{"sh", "-c", "exit"}, Dir: gone}, `start "sh": its working directory ` + gone + " does not exist", syscall.ENOENT},
		{"working directory is a file", Spec{Args: []string{"sh"}, Dir: plain}, plain + " is not a folder", syscall.ENOTDIR},
		{"no program", Spec{Args: []string{gone}}, "there is no file " + gone, syscall.ENOENT},
		{"relative", Spec{Args: []string{"./none"}, Dir: dir}, "there is no file " + filepath.Join(dir, "none"), syscall.ENOENT},
		{"a folder", Spec{Args: []string{"./locked"}, Dir: dir}, locked + " is a folder", syscall.EACCES},
		{"not executable", Spec{Args: []string{"./lame"}, Dir: dir}, "`chmod +x` makes it so", syscall.EACCES},
		{"interpreter", Spec{Args: []string{noBash}}, "the interpreter in the first line of " + noBash + ": there is no file " + gone + "/bash", syscall.ENOENT},
		{"interpreter's interpreter", Spec{Args: []string{nested}}, "first line of " + noBash + ": there is no file", syscall.ENOENT},
		{"DOS script", Spec{Args: []string{dos}}, "the first line of " + dos + " ends with a carriage return", syscall.ENOENT},
		{"neither", Spec{Args: []string{plain}}, "neither a program for this machine nor a script", syscall.ENOEXEC},
		{"loader", Spec{Args: []string{loaderless}}, "the dynamic loader that " + loaderless + " needs is not installed", syscall.ENOENT},
		{"through a file", Spec{Args: []string{script + "/x"}}, "not a directory", syscall.ENOTDIR},
	} {
		_, err := Run(t.Context(), tt.spec)
		e, ok := errors.AsType[*StartError](err)
		if !ok || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("%s: got %v, want %q in it and %v below it", tt.name, err, tt.want, tt.err)
		} else if !e.Permanent() {
			t.Errorf("%s: counts as worth another try", tt.name)
		}
	}
	if out, err := Run(t.Context(), Spec{Args: []string{script}}); err != nil || out.Code != 0 {
		t.Errorf("a good script: got %+v, %v", out, err)
	}
	if (&StartError{Err: syscall.EAGAIN}).Permanent() {
		t.Error("a host without processes left counts as hopeless")
	}
}

// withoutLoader is an ELF program for this machine whose dynamic loader is not there.
func withoutLoader(t *testing.T) string {
	t.Helper()
	sh, err := LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(sh)
	if err != nil {
		t.Fatal(err)
	}
	i := strings.Index(string(b), "/ld")
	if i < 0 {
		t.Skip("sh has no dynamic loader here")
	}
	b[i+1] = 'n'
	return string(b)
}
