package main

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const ertsDir = "erts-13.1.5"

// frontScript is bin/emqx: it finds the release from its own path and hands over.
const frontScript = `#!/bin/sh
set -e
self="$0"
while [ -L "$self" ]; do
    link="$(readlink "$self")"
    case "$link" in
        /*) self="$link" ;;
        *) self="$(dirname "$self")/$link" ;;
    esac
done
root="$(cd "$(dirname "$self")/.." && pwd -P)"
exec "$root/` + ertsDir + `/bin/beam.smp" ` + scriptMark + ` %s "$root" "$@"
`

// releases are those that the stand-in knows, and the versions that they call themselves.
var releases = map[string]string{"4.4": "4.4.19", "5.0": "5.0.26", "5.8": "5.8.8", "5.10": "5.10.1", "6.0": "6.0.0"}

// layOut makes a release directory of this program: what tree.txt shows, with the real configuration files.
func layOut(version, dir string) error {
	full, ok := releases[version]
	if !ok {
		return fmt.Errorf("lay out release: unknown version %q, want one of %s", version, strings.Join(slices.Sorted(maps.Keys(releases)), ", "))
	}
	if version != "4.4" {
		version = "5.0" // the files are alike
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("lay out release: directory %q is not empty", dir)
	}
	for _, write := range []func() error{
		func() error { return layOutEtc(version, dir) },
		func() error { return layOutFiles(version, full, dir) },
		func() error { return layOutPrograms(full, dir) },
	} {
		if err := write(); err != nil {
			return fmt.Errorf("lay out release %q: %w", dir, err)
		}
	}
	return nil
}

func layOutEtc(version, dir string) error {
	etc, err := fs.Sub(files, "release/"+version+"/etc")
	if err != nil {
		return err
	}
	return fs.WalkDir(etc, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(etc, path)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(dir, "etc", path), string(text), 0o644)
	})
}

// layOutFiles writes the files that are there for their presence.
func layOutFiles(version, full, dir string) error {
	texts := map[string]string{
		"etc/acl.conf":                        "{allow, all}.\n",
		"etc/vm.args":                         "## the node's name and cookie come from emqx.conf\n+P 2097152\n",
		"etc/ssl_dist.conf":                   "[].\n",
		"etc/certs/README":                    "the stand-in makes its certificate by itself\n",
		"etc/lwm2m_xml/LWM2M_Server-v1_0.xml": "<LWM2M/>\n",
		"releases/emqx_vars":                  "REL_VSN=\"" + full + "\"\nERTS_VSN=\"13.1.5\"\nREL_NAME=\"emqx\"\n",
		"releases/start_erl.data":             "13.1.5 " + full + "\n",
		"releases/RELEASES":                   "[{release,\"emqx\",\"" + full + "\",\"13.1.5\",[],permanent}].\n",
		"releases/" + full + "/emqx.rel":      "{release,{\"emqx\",\"" + full + "\"},{erts,\"13.1.5\"},[]}.\n",
		"lib/emqx-" + full + "/ebin/emqx.app": "{application,emqx,[]}.\n",
		"lib/ekka-0.8.1.12/ebin/ekka.app":     "{application,ekka,[]}.\n",
		"lib/kernel-8.5.3/ebin/kernel.app":    "{application,kernel,[]}.\n",
		"bin/emqx.cmd":                        "@echo off\r\n",
		"bin/emqx_ctl.cmd":                    "@echo off\r\n",
		"bin/no_dot_erlang.boot":              "boot\n",
		"data/patches/.keep":                  "",
		"data/scripts/.keep":                  "",
		"data/mnesia/.keep":                   "",
		"data/configs/.keep":                  "",
		"log/.keep":                           "",
	}
	if version == "4.4" {
		texts["etc/psk.txt"] = "client1:1234\n"
		texts["data/backup/.keep"] = ""
		texts["data/loaded_modules"] = "{emqx_mod_presence, true}.\n"
		texts["data/loaded_plugins"] = "{emqx_management, true}.\n{emqx_dashboard, true}.\n{emqx_retainer, true}.\n"
		texts["releases/"+full+"/emqx.schema"] = "%% -*-: erlang -*-\n"
	} else {
		texts["plugins/.keep"] = ""
		texts["releases/emqx.rel"] = texts["releases/"+full+"/emqx.rel"]
		texts["dynlibs/libtinfo.so.6"] = "\x7fELF"
	}
	for name, text := range texts {
		if err := writeFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// layOutPrograms puts this program in as the VM, by a hard link where that works; its helpers are links to it.
func layOutPrograms(full, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := filepath.Join(dir, ertsDir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	vm := filepath.Join(bin, "beam.smp")
	if os.Link(self, vm) != nil { // another file system
		if err := copyProgram(self, vm); err != nil {
			return err
		}
	}
	for _, helper := range []string{"run_erl", "erl_child_setup", "memsup", "cpu_sup", "inet_gethost", "epmd"} {
		if err := os.Symlink("beam.smp", filepath.Join(bin, helper)); err != nil {
			return err
		}
	}
	for _, name := range []string{"emqx", "emqx_ctl"} {
		text := fmt.Sprintf(frontScript, name)
		for _, file := range []string{name, name + "-" + full} {
			if err := writeFile(filepath.Join(dir, "bin", file), text, 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

func copyProgram(from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	if closed := target.Close(); err == nil {
		err = closed
	}
	return err
}

func writeFile(path, text string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), mode)
}
