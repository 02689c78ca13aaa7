//go:build !linux

package nodedir

func hasHoles() bool { return false }
