// Package proc starts, identifies, signals and stops operating-system
// processes. It is the only user of os/exec and of gopsutil.
//
// A process is named by an [ID]: its pid, its start time and the boot it was
// started in. A pid alone is never trusted: everything here that signals checks
// the whole ID first, refuses pid 1 and below and the calling process, and
// counts a zombie as dead.
//
// It is not a supervisor: restarts, readiness and the order of nodes are the
// keeper's business. It knows nothing of clusters or templates either; by what a
// process counts as the caller's, though nobody saw it start, is for the caller to
// say: a [Claim].
//
// Start at [Spawner], which owns the children of a long-lived process, at [Run]
// for a short command, at [Stop] for ending a whole family of processes, and at
// [Claim] for finding one after a crash.
package proc
