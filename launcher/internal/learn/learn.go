// Package learn drafts a template for a server that nobody wrote one for: it starts a node in a scratch copy of its
// directory, sees which ports the node's processes listen on and which files they write, finds those ports in the
// directory's files, in the command and in the environment, and starts further copies with every port moved, to prove it.
//
// It is not a launcher: what it starts, it stops, and it leaves nothing behind but its answer. It can't see how nodes
// find each other: the draft says so in words. The source is never written to; Learn checks that by its hash.
//
// Start at Learn. run.go is one trial of a node, occurrences.go where ports stand, prove.go what was proven, draft.go the text.
package learn

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/proc"
)

// Defaults of Options.
const (
	defaultTimeout = 60 * time.Second
	defaultSettle  = 2 * time.Second
)

// Options say what to learn.
type Options struct {
	Source  string   // the node directory
	Command []string // how one node is started in the foreground; nil: found in the directory
	Name    string   // of the template; "" is the directory's

	Timeout time.Duration // of one start; 0 is a minute
	Settle  time.Duration // ports that don't change for so long are all there are; 0 is 2 s
	Log     func(string)  // progress in words; may be nil

	Fits string // a template that takes the directory for its own, if there is one
	// Bare returns those variables (NAME=VALUE) of an environment that every process has anyway; nil: what of the environment the
	// server needs is not looked for.
	Bare func(environ []string) []string
	// Try brings up nodes with a template, at best some, and returns how many ran and why no more did; nil: the draft is not tried.
	Try func(ctx context.Context, toml string) (nodes int, why error)
}

// Draft is what was learned.
type Draft struct {
	Name      string     `json:"name"`
	Fits      string     `json:"fits,omitempty"`    // a template that takes the directory for its own
	Nodes     int        `json:"nodes"`             // that came up with the draft
	Trouble   string     `json:"trouble,omitempty"` // why no more did
	Listeners []Listener `json:"listeners"`
	Places    []Place    `json:"places,omitempty"`
	Wrote     []string   `json:"wrote"` // patterns of what the server makes in its directory
	Words     []string   `json:"words"` // what to know, or to do, before the template is used
	TOML      string     `json:"toml"`
}

// Listener is a port that the server listens on.
type Listener struct {
	Name      string   `json:"name"`
	Port      int      `json:"port"`
	Protocols []string `json:"protocols"`
	Any       string   `json:"any,omitempty"`    // "0.0.0.0" or "::" if it binds all addresses
	Where     []string `json:"where,omitempty"`  // the places that have its number, in words
	Derive    string   `json:"derive,omitempty"` // what the server computes it from
	Proven    bool     `json:"proven"`           // a second node listened where it was told to
	Why       string   `json:"why,omitempty"`    // why it is not
	HTTP      string   `json:"http,omitempty"`   // a path that answers with 2xx

	speaksHTTP bool
}

// Error is why nothing could be learned.
type Error struct {
	Text  string
	Hint  string
	Log   []string // the last lines of the server's output
	Input bool     // the call is wrong
}

func (e *Error) Error() string { return e.Text }

// learner is one Learn.
type learner struct {
	o       Options
	id      string // mark of all processes, and of the scratch folder
	scratch string
	unlock  func() error // of the scratch folder
	self    string       // the source's path, and others that lead to it
	aliases []string
	command command
	spawner *proc.Spawner
	tree    *tree // the source as it was before the first start
	copies  int
	places  []Place   // outside of the directory, that the first node wrote to
	leaders []proc.ID // of the process groups of the nodes that were started
}

// Learn watches nodes of the server in o.Source and drafts its template. The error is an *Error where people can do
// something about it. Whatever happens, no process and no file of it is left.
func Learn(ctx context.Context, o Options) (d *Draft, err error) {
	o.Timeout, o.Settle = cmp.Or(o.Timeout, defaultTimeout), cmp.Or(o.Settle, defaultSettle)
	if o.Log == nil {
		o.Log = func(string) {}
	}
	l := &learner{o: o, id: rand.Text()}
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	before, err := nodedir.Hash(l.self)
	if err != nil {
		return nil, fmt.Errorf("read source: %w", err)
	}
	defer func() {
		err = errors.Join(err, l.close(context.WithoutCancel(ctx)))
		after, herr := nodedir.Hash(l.self)
		if err == nil && (herr != nil || after != before) {
			d, err = nil, &Error{Text: fmt.Sprintf("the server changed its source %s while it ran in a copy", l.self),
				Hint: "some setting names the directory in a way that was not recognised; make it relative"}
		}
	}()
	return l.learn(ctx)
}

// learn is the order of things.
func (l *learner) learn(ctx context.Context) (*Draft, error) {
	l.o.Log("start a node in a copy of " + l.self)
	first, err := l.run(ctx, l.tree.find(l.command, l.pathTokens(), finder{takes: anyKey}), setup{}, nil)
	if err != nil {
		return nil, err
	}
	found := listeners(first.sockets)
	for i := range found {
		found[i].speaksHTTP, found[i].HTTP = first.http[found[i].Port].speaks, first.http[found[i].Port].path
	}
	l.places = first.places
	changes := l.tree.changes(first.after)
	p, err := l.prove(ctx, found, changes)
	if err != nil {
		return nil, err
	}
	v := variables{own: l.ownVariables(ctx)}
	if err := l.findNeeded(ctx, &v, p, found); err != nil {
		return nil, err
	}
	return l.draft(ctx, p, first, changes, v)
}

// open checks the call and makes the scratch folder.
func (l *learner) open(ctx context.Context) error {
	if _, err := ports.Sockets(); errors.Is(err, errors.ErrUnsupported) {
		return &Error{Text: "this system does not tell who listens on which port", Hint: "run learn on Linux; the template works here too", Input: true}
	}
	abs, err := filepath.Abs(l.o.Source)
	if err != nil {
		return err
	}
	l.self = abs
	if real, err := filepath.EvalSymlinks(abs); err == nil && real != abs {
		l.aliases = append(l.aliases, real)
	}
	if l.tree, err = readTree(ctx, abs); err != nil {
		return &Error{Text: fmt.Sprintf("source %q: %v", l.o.Source, err), Input: true}
	}
	if err := nodedir.CheckSource(ctx, abs, l.tree.special...); err != nil {
		return &Error{Text: err.Error(), Input: true}
	}
	if l.command, err = findCommand(abs, l.o.Command, l.tree); err != nil {
		return err
	}
	l.o.Name = templateName(cmp.Or(l.o.Name, filepath.Base(abs)))
	if _, err := Sweep(ctx); err != nil {
		return fmt.Errorf("remove what was left before: %w", err)
	}
	if err := l.makeScratch(ctx, filepath.Join(os.TempDir(), scratchPrefix+strings.ToLower(l.id[:10]))); err != nil {
		return fmt.Errorf("make scratch folder: %w", err)
	}
	l.spawner = proc.NewSpawner(proc.SpawnerOptions{})
	return nil
}

// close ends what still runs and removes the scratch folder.
func (l *learner) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err := proc.Stop(ctx, l.started, 0)
	return errors.Join(err, l.spawner.Close(), nodedir.Remove(l.scratch, l.id), l.unlock())
}

// markVariable is in the environment of every process that is started here.
const markVariable = "ONEMORE_LEARN"

// started returns all that runs of what was started here.
func (l *learner) started() ([]proc.ID, error) {
	return claim(l.id, l.scratch, l.leaders...).IDs()
}

// claim is by what the processes of a Learn are known.
func claim(id, scratch string, leaders ...proc.ID) proc.Claim {
	return proc.Claim{Mark: markVariable + "=" + id, Leaders: leaders, Dir: scratch}
}
