package release

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"strings"
	"testing"
)

func TestFindDigest(t *testing.T) {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("a")))
	long := fmt.Sprintf("%X", sha512.Sum512([]byte("a")))
	grouped := "kafka_2.13-4.0.0.tgz: "
	for i := 0; i < len(long); i += 8 {
		grouped += long[i:i+8] + " "
		if i%32 == 24 {
			grouped += "\n                      "
		}
	}
	for _, tt := range []struct{ text, name, want string }{
		{sum + "  a.tgz\n", "a.tgz", sum},
		{"00  b.tgz\n" + sum + " *dist/a.tgz\r\n", "a.tgz", sum},
		{"SHA256 (a.tgz) = " + strings.ToUpper(sum), "a.tgz", sum},
		{"hash redis-7.2.4.tar.gz sha256 " + sum + " http://x/redis-7.2.4.tar.gz", "redis-7.2.4.tar.gz", sum},
		{sum + "\n", "a.tgz", sum},
		{grouped, "kafka_2.13-4.0.0.tgz", strings.ToLower(long)},
		{sum + "  a.tgz.sig\n" + sum[1:] + "  a.tgz", "a.tgz", ""},
		{"<html>", "a.tgz", ""},
		{sum + "  b.tgz\n", "a.tgz", ""},
	} {
		got, ok := findDigest([]byte(tt.text), tt.name)
		if ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("%q: got %q, %v; want %q", tt.text, got, ok, tt.want)
		}
	}
}
