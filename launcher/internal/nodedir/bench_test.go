package nodedir

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
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

// BenchmarkCopyThree and BenchmarkCpThree are to be compared: three copies of
// the same tree, by Copy and by cp -r. Run with -benchtime=3x.
func BenchmarkCopyThree(b *testing.B) {
	src := benchTree(b)
	three(b, func(to string) error {
		_, err := Copy(b.Context(), CopySpec{From: src, To: to})
		return err
	})
}

func BenchmarkCpThree(b *testing.B) {
	cp, err := exec.LookPath("cp")
	if err != nil {
		b.Skip("no cp")
	}
	src := benchTree(b)
	three(b, func(to string) error { return exec.Command(cp, "-r", src, to).Run() })
}

func three(b *testing.B, copyTo func(to string) error) {
	b.Helper()
	dir := b.TempDir()
	for round := 0; b.Loop(); round++ {
		for i := range 3 {
			if err := copyTo(filepath.Join(dir, fmt.Sprintf("r%d-%d", round, i))); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		for i := range 3 {
			if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("r%d-%d", round, i))); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
	}
}
