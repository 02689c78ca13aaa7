package launcher

import (
	"context"
	"errors"

	"onemore/launcher/internal/learn"
)

// LearnOptions say what to learn, and how one node of it is started.
type LearnOptions = learn.Options

// Draft is what Learn found out, and the template made of it.
type Draft = learn.Draft

// Learn drafts a template for the server whose node directory is o.Source, by watching nodes of it run in copies. It
// leaves nothing behind; docs/learn.md describes what it finds. The error is an *InputError or a *Failure where the user can do
// something about it.
func Learn(ctx context.Context, o LearnOptions) (*Draft, error) {
	d, err := learn.Learn(ctx, o)
	if e, ok := errors.AsType[*learn.Error](err); ok {
		if e.Input {
			return nil, &InputError{Err: e, Hint: e.Hint}
		}
		return nil, &Failure{Why: e.Text, Hint: e.Hint, Log: e.Log}
	}
	return d, err
}
