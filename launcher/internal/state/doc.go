// Package state keeps on disk what must be known about a cluster after a crash:
// JSON files that are replaced whole, an append-only event log, and locks on
// directories. It also knows where all of that lives ([Home]) and which cluster
// names are safe as file names ([ValidName]).
//
// It does not know what the records mean: their types belong to the packages
// that write them. It removes nothing.
//
// Start at [WriteJSON] and [LockDir].
package state
