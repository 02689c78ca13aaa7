package main

import "embed"

// files holds what tree.txt lists and etc/ of each release, below release/4.4 and release/5.0. The configuration files are EMQX's
// own, Apache-2.0, from github.com/emqx/emqx, tags v4.4.19 and v5.0.26.
//
//go:embed release
var files embed.FS
