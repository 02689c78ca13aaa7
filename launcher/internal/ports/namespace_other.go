//go:build !linux

package ports

// hostNamespace is in /tmp and not in $TMPDIR, which can be each user's own.
func hostNamespace() namespace { return lockFiles{dir: "/tmp/onemore-leases"} }
