package proc

// OpenFile is something of the file system that a process holds for itself.
type OpenFile struct {
	Path   string // absolute, as the kernel has it
	Socket bool   // a unix socket that is bound to Path; else a file, or named pipe, that is open for writing
}
