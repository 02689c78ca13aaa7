package launcher

import (
	"context"
	"encoding/json"
	"fmt"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/template"
)

// origin is the part of a cluster's record that is the launcher's own: what the cluster was made from.
type origin struct {
	Template string `json:"template"`        // name or absolute path
	Text     string `json:"text,omitempty"`  // of the template itself, where it is a program's
	Stamp    string `json:"stamp,omitempty"` // see target
}

func readOrigin(rec *cluster.Record) (o origin, err error) {
	if err := json.Unmarshal(rec.Options, &o); err != nil {
		return o, fmt.Errorf("read what cluster %q was made from: %w", rec.Plan.Cluster, err)
	}
	return o, nil
}

// recordedTemplate is the template that a cluster was made from.
func recordedTemplate(ctx context.Context, rec *cluster.Record) (*template.Template, error) {
	from, err := readOrigin(rec)
	if err != nil {
		return nil, err
	}
	if from.Text != "" {
		return template.Parse(from.Template, []byte(from.Text))
	}
	t, _, err := chooseTemplate(ctx, from.Template, "")
	return t, err
}
