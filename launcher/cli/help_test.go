package cli

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"onemore/docs"
)

// TestHelp wants an example for every command, a group for it, and lines of 80 columns.
func TestHelp(t *testing.T) {
	root := rootCommand(&call{App: App{Version: "test", Extra: []*cobra.Command{}}, Stdout: &output{Writer: &bytes.Buffer{}}})
	seen := 0
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		seen++
		path := cmd.CommandPath()
		if !strings.Contains(cmd.Example, "onemore ") && cmd.HasParent() {
			t.Errorf("%s has no example", path)
		}
		var b bytes.Buffer
		printHelp(&b, cmd)
		for line := range strings.Lines(b.String()) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > helpWidth {
				t.Errorf("%s: a line of help has %d columns: %s", path, n, line)
			}
		}
		for _, part := range []string{"Usage:\n  onemore", "Flags of every command:", "--cluster NAME"} {
			if !strings.Contains(b.String(), part) {
				t.Errorf("the help of %s lacks %q:\n%s", path, part, b.String())
			}
		}
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(root)
	if seen < 30 {
		t.Fatalf("%d commands only", seen)
	}
}

// TestTopics wants every page that help prints, and no other, to be embedded.
func TestTopics(t *testing.T) {
	pages, err := fs.Glob(docs.FS, "*.md")
	if err != nil || len(pages) != len(topics) {
		t.Fatalf("%d pages, %d topics (%v)", len(pages), len(topics), err)
	}
	for _, topic := range topics {
		if page, err := fs.ReadFile(docs.FS, topic[0]+".md"); err != nil || !bytes.HasPrefix(page, []byte("# ")) {
			t.Errorf("topic %s: %v", topic[0], err)
		}
	}
}

func TestFill(t *testing.T) {
	for text, want := range map[string]string{
		"a bb ccc dddd":              "  a bb\n  ccc\n  dddd",
		"one\ntwo\n\n\tcode  x\n\nz": "  one\n  two\n\n\tcode  x\n\n  z",
		"muchlongerthan it":          "  muchlongerthan\n  it",
	} {
		if got := fill(text, 7, "  "); got != want {
			t.Errorf("fill(%q) = %q, want %q", text, got, want)
		}
	}
}
