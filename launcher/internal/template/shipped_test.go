package template

import (
	"errors"
	"io/fs"
	"testing"

	"onemore/templates"
)

// TestShipped wants of every template that comes with onemore: it parses, says what it is, can be the default if it is;
// its own node directory is detected as its own, and declares the very ports that the template has.
func TestShipped(t *testing.T) {
	set := NewSet(templates.FS)
	all, err := set.All()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d templates, %v", len(all), err)
	}
	if _, err := set.Open(templates.Default); err != nil {
		t.Error(err)
	}
	for _, tpl := range all {
		t.Run(tpl.Name, func(t *testing.T) {
			if tpl.Summary == "" || tpl.Members.Call.isZero() && len(tpl.Join.Methods) > 0 || len(tpl.Listeners) == 0 {
				t.Error("summary, members (of a server whose nodes join) or listeners are missing")
			}
			files, err := fs.Sub(templates.FS, tpl.Name+"/"+ownFolder)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fs.Stat(files, "."); errors.Is(err, fs.ErrNotExist) || len(tpl.Detect.Files) == 0 {
				return
			}
			if found, err := FindIn(all, files); err != nil || found != tpl {
				t.Errorf("its own node directory is taken for %v: %v", found, err)
			}
			config, err := tpl.ReadConfig(files, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range tpl.Listeners {
				if port := config.Listeners[l.Name].Port; port > 0 && port != l.Port {
					t.Errorf("listener %s is %d in the template, and %d in %s", l.Name, l.Port, port, l.File)
				}
			}
		})
	}
}
