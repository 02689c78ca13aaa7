// Package templates holds the templates that come with onemore, a folder each: template.toml, and in files/ the node
// directory of a server that is launched without a source. It is data; package launcher/internal/template is the
// language, and docs/templates.md its description.
package templates

import "embed"

// FS has the folders by name.
//
//go:embed */template.toml all:*/files/*
var FS embed.FS

// Default is the template of a cluster for which neither a template nor a source was given.
const Default = "onemore"
