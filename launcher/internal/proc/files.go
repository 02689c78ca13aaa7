package proc

// OpenFile is something of the file system that a process holds for itself.
type OpenFile struct {
	Path   string // absolute, as the kernel has it; of a socket also an abstract name, which begins with an @
	Socket bool   // a unix socket that is bound to Path; else a file, or named pipe, that is open, or mapped, for writing
}
