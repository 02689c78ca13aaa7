package nodedir

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// cost is what three copies took: on a busy machine only the CPU time is meaningful.
type cost struct{ wall, cpu time.Duration }

func (c *cost) add(d cost) { c.wall, c.cpu = c.wall+d.wall, c.cpu+d.cpu }

// BenchmarkCopyThree compares three copies of the same tree by Copy with three by
// cp -r, in turn. What one has written is on the disk before the other begins, so
// that neither waits for the other's; nothing is deleted until the end, since ext4
// searches long for an inode to use after thousands were deleted.
func BenchmarkCopyThree(b *testing.B) {
	cp := "/bin/cp"
	if _, err := os.Stat(cp); err != nil {
		b.Skip("no cp")
	}
	src, dir := benchTree(b), b.TempDir()
	var ours, theirs cost
	for i := range 3 * b.N {
		ours.add(once(b, filepath.Join(dir, fmt.Sprintf("ours%d", i)), func(to string) (time.Duration, error) {
			before := ownCPU(b)
			_, err := Copy(b.Context(), CopySpec{From: src, To: to})
			return ownCPU(b) - before, err
		}))
		theirs.add(once(b, filepath.Join(dir, fmt.Sprintf("theirs%d", i)), func(to string) (time.Duration, error) {
			return run(cp, "-r", src, to)
		}))
	}
	b.ReportMetric(ours.wall.Seconds()/float64(b.N), "copy-s")
	b.ReportMetric(theirs.wall.Seconds()/float64(b.N), "cp-s")
	b.ReportMetric(ours.wall.Seconds()/theirs.wall.Seconds(), "copy/cp")
	b.ReportMetric(ours.cpu.Seconds()/theirs.cpu.Seconds(), "copy/cp-cpu")
}

func once(b *testing.B, to string, copyTo func(to string) (cpu time.Duration, err error)) (c cost) {
	b.Helper()
	unix.Sync()
	start := time.Now()
	cpu, err := copyTo(to)
	if err != nil {
		b.Fatal(err)
	}
	return cost{wall: time.Since(start), cpu: cpu}
}

func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func run(args ...string) (cpu time.Duration, err error) {
	p, err := os.StartProcess(args[0], args, &os.ProcAttr{Files: []*os.File{nil, nil, os.Stderr}})
	if err != nil {
		return 0, err
	}
	state, err := p.Wait()
	if err != nil {
		return 0, err
	}
	if !state.Success() {
		return 0, errors.New(state.String())
	}
	return state.UserTime() + state.SystemTime(), nil
}
