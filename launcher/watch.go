package launcher

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/watch"
)

// WatchBuild builds the program of a cluster again whenever a file changes that its project watches, and then restarts the nodes one
// after the other. When the build fails, they run on. It tells what it does, and what fails, by o.Progress, and returns when ctx ends.
func WatchBuild(ctx context.Context, c *Cluster, o Options) error {
	if len(o.Watch) == 0 {
		return &InputError{Err: fmt.Errorf("cluster %q has nothing to watch", c.name), Hint: `write watch = ["**/*.go"], and build, into the project file`}
	}
	match, err := nodedir.Matcher(o.Watch)
	if err != nil {
		return &InputError{Err: o.withPlace("watch", err)}
	}
	tell := func(phase, text string) {
		if o.Progress != nil {
			o.Progress(Event{Phase: phase, Text: text})
		}
	}
	return watch.Watch(ctx, o.Folder, match, func() { tell("watching", o.Folder) }, func(rel string) error {
		tell("changed", rel)
		err := build(ctx, o)
		if err == nil {
			_, err = c.Restart(ctx, true)
		}
		switch {
		case errors.Is(err, ErrNoCluster) || ctx.Err() != nil:
			return err
		case err != nil:
			tell("failed", explained(err))
		default:
			tell("swapped", "all nodes")
		}
		return nil
	})
}

// explained is an error with the lines that it quotes.
func explained(err error) string {
	s := err.Error()
	if f, ok := errors.AsType[*Failure](err); ok {
		for _, l := range f.Log {
			s += "\n  | " + l
		}
	}
	return s
}

// WatchBuild is that of all clusters of the stack that watch something.
func (s *Stack) WatchBuild(ctx context.Context, progress func(string, Event)) error {
	g, ctx := errgroup.WithContext(ctx)
	watching := 0
	for _, m := range s.Clusters {
		if len(m.Options.Watch) == 0 {
			continue
		}
		watching++
		o := m.Options
		o.Progress = func(e Event) { progress(m.Name, e) }
		g.Go(func() error {
			c, err := Open(s.Full(m.Name), o)
			if err != nil {
				return err
			}
			return WatchBuild(ctx, c, o)
		})
	}
	if watching == 0 {
		return &InputError{Err: fmt.Errorf("stack %q has nothing to watch", s.Name), Hint: `write watch = ["**/*.go"], and build, below [clusters.NAME]`}
	}
	return g.Wait()
}
