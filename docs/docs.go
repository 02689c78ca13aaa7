// Package docs is the documentation that `onemore help TOPIC` prints, and the JSON Schemas of the files that people write. It is data.
package docs

import "embed"

// FS holds the pages.
//
//go:embed schema/project.json schema/template.json templates.md project.md json.md faults.md testing.md mqtt.md
var FS embed.FS
