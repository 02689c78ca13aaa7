// Package proc starts, identifies, signals and stops operating-system
// processes. It is the only user of os/exec and of gopsutil.
//
// A process is named by an [ID]: its pid, its start time and the boot it was
// started in. A pid alone is never trusted: everything here that signals checks
// the whole ID first, refuses pid 1 and below and the calling process, and
// counts a zombie as dead.
//
// It is not a supervisor: restarts, readiness and the order of nodes are the
// keeper's business. It knows nothing of clusters or templates either; the mark
// by which a process counts as ours is whatever KEY=VALUE the caller puts into
// its environment and later asks [Marked] for.
//
// Start at [Spawner], which owns the children of a long-lived process, at [Run]
// for a short command, and at [Stop] for ending a whole family of processes.
package proc
