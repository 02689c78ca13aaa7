package nodedir

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// benchTree makes 2000 files, 300 MB in all, and a few directories.
func benchTree(b *testing.B) string {
	b.Helper()
	src := filepath.Join(b.TempDir(), "src")
	random := rand.NewChaCha8([32]byte{1})
	for i := range 2000 {
		dir := filepath.Join(src, fmt.Sprintf("d%02d", i%40), "lib")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		content := make([]byte, 150_000)
		random.Read(content)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%04d", i)), content, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return src
}

// BenchmarkCopyThree compares three copies of the same tree by Copy with three by
// cp -r, in turn, so that both meet the same state of the disk. Run with
// -benchtime=3x.
func BenchmarkCopyThree(b *testing.B) {
	cp := "/bin/cp"
	if _, err := os.Stat(cp); err != nil {
		b.Skip("no cp")
	}
	src := benchTree(b)
	var ours, theirs time.Duration
	for b.Loop() {
		ours += three(b, func(to string) error {
			_, err := Copy(b.Context(), CopySpec{From: src, To: to})
			return err
		})
		theirs += three(b, func(to string) error { return run(cp, "-r", src, to) })
	}
	b.ReportMetric(ours.Seconds()/float64(b.N), "copy-s")
	b.ReportMetric(theirs.Seconds()/float64(b.N), "cp-s")
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "copy/cp")
}

func three(b *testing.B, copyTo func(to string) error) time.Duration {
	b.Helper()
	dir := b.TempDir()
	start := time.Now()
	for i := range 3 {
		if err := copyTo(filepath.Join(dir, strconv.Itoa(i))); err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(start)
	if err := os.RemoveAll(dir); err != nil {
		b.Fatal(err)
	}
	return took
}

func run(args ...string) error {
	p, err := os.StartProcess(args[0], args, &os.ProcAttr{Files: []*os.File{nil, nil, os.Stderr}})
	if err != nil {
		return err
	}
	state, err := p.Wait()
	if err == nil && !state.Success() {
		err = errors.New(state.String())
	}
	return err
}
