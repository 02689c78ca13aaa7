package release

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// ErrWrongSystem says that the programs of a release are for another operating system or processor.
var ErrWrongSystem = errors.New("its programs are for another system")

// errRuns ends a walk: a program was found that runs here.
var errRuns = errors.New("runs here")

// CheckPrograms looks at the programs (executable files in a binary format) below a folder. If there are some and none is for
// this operating system and processor, the error wraps ErrWrongSystem and names one. Scripts and bytecode run anywhere.
func CheckPrograms(dir string) error {
	foreign := ""
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Mode().Perm()&0o111 == 0 && filepath.Ext(path) != ".exe" {
			return err
		}
		system, err := programOf(path)
		if err != nil || system == "" {
			return err
		}
		if system == runtime.GOOS+"/"+runtime.GOARCH {
			return errRuns
		}
		if foreign == "" {
			rel, _ := filepath.Rel(dir, path)
			foreign = rel + " is for " + system
		}
		return nil
	})
	switch {
	case errors.Is(err, errRuns), err == nil && foreign == "":
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: %s, and this is %s/%s", ErrWrongSystem, foreign, runtime.GOOS, runtime.GOARCH)
}

// Machine numbers of ELF, Mach-O and PE headers, in Go's words.
var (
	elfMachines  = map[uint16]string{0x03: "386", 0x28: "arm", 0x3e: "amd64", 0xb7: "arm64", 0xf3: "riscv64", 0x15: "ppc64le", 0x16: "s390x"}
	machMachines = map[uint32]string{0x01000007: "amd64", 0x0100000c: "arm64"}
)

// programOf returns "os/arch" of a program, "" for a file that is none. ELF is taken for the system that we run on if that uses
// ELF, since most ELF files don't say; a file for several processors is taken for this one.
func programOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	head := make([]byte, 20)
	if _, err := io.ReadFull(file, head); err != nil {
		return "", nil // shorter than any program
	}
	little := binary.LittleEndian
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		goos := "linux"
		if runtime.GOOS != "darwin" && runtime.GOOS != "windows" {
			goos = runtime.GOOS
		}
		order := binary.ByteOrder(little)
		if head[5] == 2 {
			order = binary.BigEndian
		}
		return goos + "/" + nameOr(elfMachines[order.Uint16(head[18:])]), nil
	case little.Uint32(head) == 0xfeedfacf:
		return "darwin/" + nameOr(machMachines[little.Uint32(head[4:])]), nil
	case bytes.HasPrefix(head, []byte("\xca\xfe\xba\xbe")) && head[7] < 0x20 && head[4]|head[5]|head[6] == 0: // not a Java class
		return "darwin/" + runtime.GOARCH, nil
	case bytes.HasPrefix(head, []byte("MZ")):
		return "windows/a processor that it does not tell", nil
	}
	return "", nil
}

func nameOr(arch string) string {
	if arch == "" {
		return "another processor"
	}
	return arch
}
