package main

import (
	"os"
	"syscall"
)

// diskFolder is a temporary folder that is not in memory.
func diskFolder() string {
	if inMemory(os.TempDir()) {
		return "/var/tmp"
	}
	return os.TempDir()
}

// memoryFolder is a folder in memory, "" if there is none.
func memoryFolder() string {
	const folder = "/dev/shm"
	if inMemory(folder) {
		return folder
	}
	return ""
}

func inMemory(folder string) bool {
	const tmpfs = 0x01021994
	var fs syscall.Statfs_t
	return syscall.Statfs(folder, &fs) == nil && fs.Type == tmpfs
}
