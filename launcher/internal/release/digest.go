package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"onemore/launcher/internal/state"
)

// DigestError says that an archive is not what it should be. It was removed from the cache.
type DigestError struct {
	File      string // name of the archive
	Got, Want string // "sha256:…"
	Where     string // where the wanted digest comes from
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("%s has the digest %s, and %s says %s: it is not used and was removed", e.File, e.Got, e.Where, e.Want)
}

// algorithms by the length of their digests in hex.
var algorithms = map[int]struct {
	name string
	make func() hash.Hash
}{
	64:  {"sha256", sha256.New},
	128: {"sha512", sha512.New},
}

// check compares the archive with its published digest or, where none is published, with the one that was recorded when this
// version was first fetched, which it records. An archive that differs is removed.
func (c *Cache) check(ctx context.Context, s Source, file string) (digest string, published bool, err error) {
	if s.File != "" {
		digest, err = digestOf(s.File, 64)
		return "sha256:" + digest, false, err
	}
	if s.Checksums == "" {
		digest, err = c.checkFirst(s, file)
		return digest, false, err
	}
	want, err := c.published(ctx, s)
	if err != nil {
		return "", false, err
	}
	got, err := digestOf(file, len(want))
	if err != nil {
		return "", false, err
	}
	if got != want {
		return "", false, differs(s, file, got, want, s.Checksums)
	}
	return algorithms[len(want)].name + ":" + want, true, nil
}

// checkFirst compares the archive with what was fetched first under its URL. The record outlives a removed release.
func (c *Cache) checkFirst(s Source, file string) (string, error) {
	sum, err := digestOf(file, 64)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.Dir, s.Name, digestRecord)
	unlock, err := state.LockDir(context.Background(), filepath.Dir(path))
	if err != nil {
		return "", err
	}
	defer func() { _ = unlock() }()
	known := map[string]string{}
	if err := state.ReadJSON(path, &known); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	digest := "sha256:" + sum
	if want, ok := known[s.URL]; ok && want != digest {
		return "", differs(s, file, sum, strings.TrimPrefix(want, "sha256:"), path+" (when it was first fetched)")
	}
	known[s.URL] = digest
	return digest, state.WriteJSON(path, known)
}

func differs(s Source, file, got, want, where string) error {
	name := algorithms[len(want)].name + ":"
	err := error(&DigestError{File: fileName(s.URL), Got: name + got, Want: name + want, Where: where})
	return errors.Join(err, os.Remove(file))
}

// published fetches the file of digests and returns the archive's, in hex.
func (c *Cache) published(ctx context.Context, s Source) (string, error) {
	file := c.file(s, s.Checksums)
	if _, err := os.Stat(file); err != nil {
		if err := c.fetch(ctx, s.Checksums, file, func(Progress) {}); err != nil {
			return "", err
		}
	}
	defer os.Remove(file)
	if size(file) > maxSums {
		return "", fmt.Errorf("%s is larger than %d bytes: no file of digests", s.Checksums, maxSums)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	sum, ok := findDigest(text, fileName(s.URL))
	if !ok {
		return "", fmt.Errorf("%s has no SHA-256 or SHA-512 digest of %s", s.Checksums, fileName(s.URL))
	}
	return sum, nil
}

// findDigest returns the digest of the named file, in hex, from any of the forms in which vendors publish them: "HEX  NAME",
// "HEX *NAME", "SHA256 (NAME) = HEX", "hash NAME sha256 HEX URL", "NAME: HEXX HEXX …" over several lines, or the digest alone.
func findDigest(text []byte, name string) (string, bool) {
	lines := bytes.Split(text, []byte("\n"))
	for _, line := range lines {
		fields := strings.FieldsFunc(string(line), func(r rune) bool { return strings.ContainsRune(" \t\r()=*", r) })
		if !slices.ContainsFunc(fields, func(f string) bool { return path.Base(f) == name }) {
			continue
		}
		for _, f := range fields {
			if isDigest(f) {
				return strings.ToLower(f), true
			}
		}
	}
	// The whole file is about one archive: the digest stands alone, or in groups behind the name.
	rest := strings.TrimSpace(string(text))
	if before, after, ok := strings.Cut(rest, ":"); ok && path.Base(strings.TrimSpace(before)) == name {
		rest = after
	}
	sum := strings.Join(strings.Fields(rest), "")
	return strings.ToLower(sum), isDigest(sum)
}

func isDigest(s string) bool {
	_, known := algorithms[len(s)]
	_, err := hex.DecodeString(s)
	return known && err == nil
}

// digestOf returns the digest of a file in hex; length chooses the algorithm.
func digestOf(file string, length int) (string, error) {
	in, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer in.Close()
	h := algorithms[length].make()
	if _, err := io.Copy(h, in); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
