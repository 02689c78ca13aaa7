// Package ports is the host's view of its ports: which are in use and by whom
// ([Observe], [Sockets], [Holder], [Owned]), and leases on those that a cluster is
// going to use ([Acquire]).
//
// A lease is a name that the kernel holds for the process that took it, and
// frees when that process dies; it needs no cooperation of the server that will
// bind the port later. It keeps two users of this package apart, across users of
// the host and state directories. Against everybody else there is only what [Observe] sees:
// a stranger may still bind a leased port.
//
// Ports are not chosen here: that is the plan's business, which is pure and gets
// a [View] as plain data.
package ports
