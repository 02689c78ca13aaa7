// Package confedit reads, sets and takes out values of configuration files and keeps every other byte: comments, order,
// indentation, line ends, a missing final newline. It parses for positions and splices values in; it never prints a file
// anew.
//
// It is pure: bytes in, bytes out, no clock, and no files but those of the fs.FS that Follow is given. It knows the shape
// of each format well enough to find where a key's value stands and what it says, and leaves its meaning to the server.
//
// Start at Apply, which edits, and Read, which returns a File to ask: List, Match, Get, Includes. Follow is Read together
// with the files that a file includes. Each dialect is one syntax value (syntax.go) in a file of its own: toml.go,
// properties.go, blocks.go, hocon.go, directives.go, ini.go, json.go, yaml.go, env.go, settings.go, xml.go, hcl.go. What
// they share is the scanner (scan.go), which reads white space, comments, lists (rules.go) and strings (scan_strings.go)
// by the rules of the dialect; the tree of positions (tree.go); the choice of how a text is written (encode in syntax.go);
// the placing of new lines and members (place.go); the following of references (resolve.go) and includes (include.go).
//
// # Keys
//
// A key is a dotted path: `listeners.tcp.default.bind`. A segment that holds a dot, or is empty, is quoted:
// `a."b.c".d`. An element of an array is its index, from 0: `seeds.0`. In the flat formats (properties, directives, env,
// settings) the whole key is the name as the file has it, dots and all. In ini it is `section.key`, or `key` before any
// section. In YAML and JSON, whose files may write `a.b: 1` for a and b, a key is found and written as the file does.
//
// # Rules
//
//   - A value that is set to what it is leaves the file as it is; setting twice is setting once.
//   - Where a key stands several times, the one that wins in that format is changed.
//   - A value that is a reference (a variable, a substitution, an alias) is resolved when it is read, and replaced as a
//     whole, where it is used, when it is set.
//   - A default that is commented out is not there.
//   - A missing key is added to its table, section or block, which is made when it is missing too. Elements of arrays,
//     and members of what holds a plain value, are not added: that is an error.
//   - Apply and List look at one file: what it includes does not count. Where returns which file to edit.
package confedit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Edit sets one key.
type Edit struct {
	Key string `json:"key"`
	// Value is the text that the key shall have. It is written in the kind (string, number, bool) that the present
	// value has where it fits; for a missing key, integers, floats, true and false are written bare and everything else
	// as a string, quoted where the format asks for it.
	Value string `json:"value"`
	// Raw says that Value is the format's own syntax for one value (an array, a quoted text) and is written verbatim.
	Raw bool `json:"raw,omitempty"`
	// Present says that a file without the key stays without it.
	Present bool `json:"present,omitempty"`
	// Default says that a file with the key keeps its value.
	Default bool `json:"default,omitempty"`
	// Unset takes out all keys that match Key as in Match, and everything below them, however often they stand there,
	// but for those that other edits set. It goes before all other edits.
	Unset bool `json:"unset,omitempty"`
}

// String is the edit for people.
func (e Edit) String() string {
	switch {
	case e.Unset:
		return "remove " + e.Key
	case e.Present:
		return fmt.Sprintf("%s = %s, if it is there", e.Key, e.Value)
	case e.Default:
		return fmt.Sprintf("%s = %s, if it is not there", e.Key, e.Value)
	}
	return e.Key + " = " + e.Value
}

// SyntaxError says where a file could not be understood.
type SyntaxError struct {
	Line int // from 1
	Msg  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

const (
	maxSize  = 16 << 20 // bytes of a file: more is not a configuration file
	maxDepth = 200      // nested values, and segments of a key
	maxKey   = 1024     // bytes of a key
)

// Apply returns src with the edits made in order. It is all or nothing: when any edit can't be made, the error joins
// one error per such edit, each naming its key, and no bytes are returned. src itself is never written to.
func Apply(format string, src []byte, edits []Edit) ([]byte, error) {
	syn, root, err := open(format, src)
	if err != nil {
		return nil, err
	}
	d := draft{syn: syn, src: src, root: root}
	var errs []error
	if slices.ContainsFunc(edits, func(e Edit) bool { return e.Unset }) {
		errs = append(errs, d.unset(edits))
	}
	for _, e := range edits {
		if !e.Unset {
			errs = append(errs, d.set(e))
		}
	}
	errs = append(errs, d.flush())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return bytes.Clone(d.src), nil
}

func open(format string, src []byte) (syntax, *node, error) {
	syn, err := syntaxOf(format)
	if err != nil {
		return syntax{}, nil, err
	}
	if len(src) > maxSize {
		return syntax{}, nil, fmt.Errorf("parse %s: %d bytes is too large for a configuration file", format, len(src))
	}
	root, err := syn.parse(src)
	if err != nil {
		return syntax{}, nil, fmt.Errorf("parse %s: %w", format, err)
	}
	return syn, root, nil
}
