package proc

import "testing"

// BenchmarkClaim is what a keeper pays that takes charge of a cluster: one look at all processes of the host.
func BenchmarkClaim(b *testing.B) {
	for b.Loop() {
		if _, err := (Claim{Mark: "PROC_TEST_MARK=none", Leaders: []ID{{PID: 1 << 30}}, Dir: b.TempDir()}).Find(); err != nil {
			b.Fatal(err)
		}
	}
}
