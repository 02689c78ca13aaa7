// Package probe asks a server one thing and reads its answer: over HTTP, over a
// plain TCP connection, or by a command ([Prober], [Call]). It also waits for
// such answers ([Until]), and for servers that announce themselves ([Notify]).
//
// It does not know what an answer means: which number is a number of members,
// and which node a call goes to, is up to the caller, who also turns templates
// into calls. It never decides that a process is dead.
//
// Start at [Prober] and [Until].
package probe
