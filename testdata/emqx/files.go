// Package emqx holds the configuration files of two EMQX releases, as test data.
//
// It is not a model of EMQX: that is the program in ./standin, which lays these files out as a release directory.
// The files are EMQX's own, Apache-2.0, from github.com/emqx/emqx, tags v4.4.19 and v5.0.26. Start with README.md.
package emqx

import "embed"

// Files holds etc/ of each release, below a folder that is named after the release: 4.4/etc, 5.0/etc.
//
//go:embed 4.4 5.0
var Files embed.FS
