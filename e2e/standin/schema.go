package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// schema is what a node remembers of its cluster, in data/mnesia/NODE/schema.DAT.
type schema struct {
	ID       string     `json:"id"` // the same in all members; a node of another cluster has another
	Members  []nodeName `json:"members"`
	Outlived []nodeName `json:"outlived,omitempty"` // the peers that were up when this node was last
}

func newSchema(self nodeName) schema {
	return schema{ID: rand.Text(), Members: []nodeName{self}}
}

func (s *schema) has(node nodeName) bool { return slices.Contains(s.Members, node) }

func (s *schema) add(nodes ...nodeName) {
	s.Members = append(s.Members, nodes...)
	slices.Sort(s.Members)
	s.Members = slices.Compact(s.Members)
}

func (s *schema) drop(node nodeName) {
	s.Members = slices.DeleteFunc(s.Members, func(n nodeName) bool { return n == node })
	s.outlive(node, false)
}

func (s *schema) outlive(peer nodeName, up bool) {
	s.Outlived = slices.DeleteFunc(s.Outlived, func(n nodeName) bool { return n == peer })
	if up {
		s.Outlived = append(s.Outlived, peer)
		slices.Sort(s.Outlived)
	}
}

func readSchema(dir string, self nodeName) (schema, error) {
	text, err := os.ReadFile(filepath.Join(dir, "schema.DAT"))
	if errors.Is(err, fs.ErrNotExist) {
		return newSchema(self), nil
	}
	var s schema
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err == nil && !s.has(self) {
		err = fmt.Errorf("it is of another node")
	}
	if err != nil {
		return schema{}, fmt.Errorf("read schema of node '%s': %w", self, err)
	}
	return s, nil
}

func writeSchema(dir string, s schema) error {
	text, err := json.Marshal(s)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "schema.TMP"), text, 0o644)
	}
	if err == nil {
		err = os.Rename(filepath.Join(dir, "schema.TMP"), filepath.Join(dir, "schema.DAT"))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "LATEST.LOG"), []byte("cXM\n"), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return nil
}

// wipe empties a node's own data/mnesia/NODE.
func wipe(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("wipe %q: %w", dir, err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("wipe %q: %w", dir, err)
		}
	}
	return nil
}
