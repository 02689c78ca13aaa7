// Package nodedir makes and removes the directories of nodes: it copies a
// server's directory without ever writing to it ([Copy]), marks what it made as
// ours ([Make], [Mark]), and removes only what carries that mark ([Remove]).
//
// It does not know what is in a node's directory: what to leave out and what to
// share are patterns of the caller's, and edits of config files arrive as
// finished bytes ([WriteFile]). Nothing here is made to last through a power
// failure: a copy can be made again. But no file is ever seen half written.
//
// Start at [Copy]; mark.go is the proof that a directory is ours.
package nodedir
