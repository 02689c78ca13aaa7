//go:build !linux

package main

import "os"

// diskFolder is the temporary folder: elsewhere than on Linux it is on a disk.
func diskFolder() string { return os.TempDir() }

// memoryFolder is known on Linux only.
func memoryFolder() string { return "" }
