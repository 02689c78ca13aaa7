// Package docs is the documentation that `onemore help TOPIC` prints. It is data.
package docs

import "embed"

// FS holds the pages.
//
//go:embed templates.md project.md json.md faults.md testing.md mqtt.md
var FS embed.FS
