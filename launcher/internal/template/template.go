// Package template is the language in which a kind of server is described: TOML in, a Template out, strict (an unknown
// key is an error), defaulted and validated with all problems at once. It is data about a server, never code for one: it
// decides nothing about ports or directories (package plan does) and runs nothing (package node does).
//
// Start at Template, the root of a template.toml, and at Parse. docs/templates.md documents every key.
package template

import (
	"strings"
	"time"

	"onemore/launcher/internal/schema"
)

// Template is one kind of server, as a template.toml says it. Fields marked "text" are expanded by text/template with
// the data that Data documents; an unknown name in a text is an error when the template is parsed.
type Template struct {
	Name     string `toml:"name"`    // what -t takes; the folder's name
	Summary  string `toml:"summary"` // one line for `onemore templates`
	MinNodes int    `toml:"min_nodes"`
	// MinReason says why fewer nodes than MinNodes can't work; it ends the error.
	MinReason string `toml:"min_nodes_reason"`
	// Membership is "open" (default), or "fixed": a cluster keeps the nodes that it was made with.
	Membership string `toml:"membership"`
	// Refuse are further clusters that can't work.
	Refuse []Refusal `toml:"refuse"`
	// Notes are what people are told when a cluster is made.
	Notes []Note `toml:"note"`

	Params  map[string]Param `toml:"params"` // settings of the template's own, given as --param NAME=VALUE
	Program Program          `toml:"program"`
	Release Release          `toml:"release"`
	Detect  Detect           `toml:"detect"`
	Copy    Copy             `toml:"copy"`
	Node    NodeNames        `toml:"node"`

	// Roles are the kinds of nodes that a cluster has, in the file's order; none: all nodes are alike.
	Roles []Role `toml:"-"`

	// Listeners of every node, in the file's order; Shared ones belong to the cluster (an own epmd), once.
	Listeners []Listener `toml:"-"`
	Shared    []Listener `toml:"-"`
	// Services are helper processes that the cluster has once: started before the nodes, stopped after them.
	Services []Service `toml:"service"`

	// Places are the files and directories of a node that a config names, by name.
	Places []Place `toml:"-"`

	// Includes are, by config file, globs of those that the server reads after it, as if it had them at its end.
	Includes map[string][]string `toml:"includes"`

	Edits       []Edit            `toml:"edit"`
	Files       []File            `toml:"file"`
	Environment map[string]string `toml:"-"` // values: text

	// OwnEnvironment are the variables that the server and its tools read (environment.own): names, and beginnings that end
	// with *. No process of a cluster gets them from the shell of who makes it.
	OwnEnvironment []string `toml:"-"`

	// Prepare are calls on a node before its first start, once its files are written: initdb, format, a base backup.
	Prepare []Call `toml:"prepare"`
	Start   Start  `toml:"start"`
	// Bootstrap is what the node gets that founds the cluster: the others are started when it serves.
	Bootstrap Bootstrap `toml:"bootstrap"`
	Ready     Ready     `toml:"ready"`
	Join      Join      `toml:"join"`
	Form      []Call    `toml:"form"` // once, when a new cluster's nodes are all ready (Redis: slots and meet)
	// Seed is made once, about the first node, when a new cluster has settled: users, topics, a schema.
	Seed    []Call  `toml:"seed"`
	Add     Add     `toml:"add"`
	Members Members `toml:"members"`
	Stop    Stop    `toml:"stop"`
	Leave   []Call  `toml:"leave"` // by which a running node leaves its cluster, before it is stopped and removed
	// Refresh is what makes the other running nodes see that members came or went, once their files say so.
	Refresh  []Refresh `toml:"refresh"`
	Ctl      Command   `toml:"ctl"`
	Client   Client    `toml:"client"`
	Upgrade  Upgrade   `toml:"upgrade"`
	Snapshot Snapshot  `toml:"snapshot"`
	Fault    Faults    `toml:"fault"`

	// Own are the files of the template's files/ folder: the node directory of a node that has no source.
	Own []File `toml:"-"`

	texts *texts // every text, parsed once; set by Check
	reads reads  // what the texts read of a source; set by Check
}

// Refusal is a kind of cluster that can't work, known by its size and settings; it is refused before anything is made.
type Refusal struct {
	When   string `toml:"when"`   // text of {{.N}} {{.Cluster}} {{.Join}} {{.Param.NAME}}; "true" refuses
	Reason string `toml:"reason"` // text, likewise
}

// Note is something that people should know of a cluster, such as what of the source is not in its nodes.
type Note struct {
	When string `toml:"when"` // text, as with Refusal
	Text string `toml:"text"` // text, likewise
}

// Param is a setting that only this template has, read in texts as {{.Param.NAME}}.
type Param struct {
	Default string `toml:"default"` // text of {{.Source}}: what the source has is so the value that counts
	Summary string `toml:"summary"`
	Match   string `toml:"match"` // regexp that the whole value must match
}

// Program is the server's executable where the node directory does not hold it.
type Program struct {
	// Command is looked up on PATH (and in Paths) unless --bin names it; {{.Bin}} is the absolute path. Empty: none is needed.
	Command string   `toml:"command"`
	Paths   []string `toml:"paths"`   // absolute paths that are tried first
	Install string   `toml:"install"` // the hint when it is missing
	// Needs are further programs (a client) that calls use, looked up the same way: {{.Tool "NAME"}}.
	Needs []string `toml:"needs"`
	// Version: a command whose output must match Accept; checked before anything is made. Empty: any version.
	Version []string `toml:"version"` // text
	Accept  string   `toml:"accept"`  // regexp
}

// Detect recognizes a node directory of this server. All rules must hold; without rules it never matches.
type Detect struct {
	Files []string `toml:"files"` // slash paths (globs) that must exist
	Match []Match  `toml:"match"`
	// Priority breaks ties: the higher one wins; two of the same priority are an error that asks for -t.
	Priority int `toml:"priority"`
}

// Match is a rule on a file's text.
type Match struct {
	File   string `toml:"file"` // or a glob: one of the files
	Regexp string `toml:"regexp"`
}

// Copy says what of a source is copied. Patterns are slash globs with ** relative to the source.
type Copy struct {
	Source  string   `toml:"source"`  // "required", "optional" (default: the template's own files/ folder does without), "none"
	Exclude []string `toml:"exclude"` // left out: data, pipes, logs
	Share   []string `toml:"share"`   // hard-linked: what the server only ever reads
	Dirs    []string `toml:"dirs"`    // made empty after the copy
}

// NodeNames is how nodes are called.
type NodeNames struct {
	Name string `toml:"name"` // text of {{.NameIndex}} {{.Index}} {{.Host}} {{.Cluster}} {{.Param.NAME}}; must differ between nodes
	// SpreadAddress: `--spread address` may give every node an own 127.0.0.x and the same ports.
	SpreadAddress bool `toml:"spread_address"`
}

// Listener is one port of a node, declared in its config or derived from another number.
type Listener struct {
	Name      string   `toml:"-"`
	Port      int      `toml:"port"`      // default port of node 1
	Derive    string   `toml:"derive"`    // instead of Port: a sum such as "client + 10000" or "4370 + number" (number: the digits before @ in the node's name; index: 1…N)
	Protocols []string `toml:"protocols"` // of "tcp", "udp"; default ["tcp"]
	Bind      string   `toml:"bind"`      // "" = the node's host; "0.0.0.0" where the server always binds all
	URL       string   `toml:"url"`       // text for people and for env, of {{.Addr}} {{.Host}} {{.Port}}; default HOST:PORT
	When      string   `toml:"when"`      // text; expands to "true" (default) or "false": this listener exists
	Optional  bool     `toml:"optional"`  // need not be open when the node is ready (TLS without certificates, …); still leased
	// File and Key say where the node's config declares it: when the source has that key, its port is the default of node 1,
	// also in place of what it would be derived from. A Key with * makes a family: each key of the source that matches, and
	// that no other listener has, is a listener of its own.
	File   string `toml:"file"`
	Key    string `toml:"key"`
	Format string `toml:"format"` // of File; default by an edit of it, or by its name
	// Value is what is written at the key: text of {{.Addr}} {{.Host}} {{.Port}} {{.Scheme}}. Empty: edits do it.
	Value  string `toml:"value"`
	Scheme string `toml:"scheme"` // {{.Scheme}}, where the source's value does not begin with one
	// Match is a regexp of the value at Key, whose group is the port, where the value has several ports. Edits write such a value.
	Match string `toml:"match"`
	// Off are keys of File, and the regexp of the values (the whole of them) with which the source turns the listener off.
	Off map[string]string `toml:"off"`
	// Also are other keys that declare it: `port` beside `listen`.
	Also       []string `toml:"also"`
	IfDeclared bool     `toml:"if_declared"` // without such a key in the source there is no such listener
}

// IsFamily reports whether the listener stands for all keys of the source that match its own.
func (l *Listener) IsFamily() bool { return strings.Contains(l.Key, "*") }

// Place is a file or directory that a node has for itself, and that its config names: a store, a log, a pid file, a socket.
type Place struct {
	Name string `toml:"-"`
	File string `toml:"file"`
	Key  string `toml:"key"` // with *: all keys that match
	// Format is that of File; default as with listeners.
	Format string `toml:"format"`
	// Also are other keys that say the same.
	Also []string `toml:"also"`
	// Path is where it is in a node: text, of which * is the last element of what the source says.
	Path string `toml:"path"`
	// Write says when Path is written: "outside" (default) where the source leads out of its directory, "missing" where it
	// says nothing too, "always".
	Write string `toml:"write"`
	When  string `toml:"when"` // text of WhenData; "false": there is no such place
	// Refuse says why a source that leads out of its directory is refused: nodes need what is there, and write to it.
	Refuse string `toml:"refuse"`
}

// Edit changes values in one config file of the copy, every other byte kept.
type Edit struct {
	File   string            `toml:"file"`   // slash path in the node directory
	Format string            `toml:"format"` // of confedit; default by the file's name
	Set    map[string]string `toml:"set"`    // key → text, written in the type that fits
	Raw    map[string]string `toml:"raw"`    // key → text, written as it is (arrays, objects)
	// Present is Set for keys that say the same in other words: one that the file does not have is not added.
	Present map[string]string `toml:"present"`
	// Default is Set for keys that the file does not have; one that is there stays as it is.
	Default map[string]string `toml:"default"`
	// Unset are patterns of keys that are taken out, but for those that are set.
	Unset []string `toml:"unset"`
	When  string   `toml:"when"` // text; "false" skips this edit
	// IfExists: skip when the source has no such file.
	IfExists bool `toml:"if_exists"`
}

// File is a small file that the template writes into the copy (a cookie, an empty config).
type File struct {
	Path string `toml:"path"`
	Text string `toml:"text"` // text (those of Template.Own: as they are)
	Mode string `toml:"mode"` // octal, default 0644
	// Existing says what becomes of a file that the source has there: "replace" (default), "keep", or "merge": it keeps its
	// values, and gets those of Text that it does not have.
	Existing string `toml:"existing"`
	Format   string `toml:"format"` // for "merge"; default by the file's name
	When     string `toml:"when"`   // text; "false": the node is made without this file
}

// Start is the foreground command of a node.
type Start struct {
	Command []string `toml:"command"` // text
	Dir     string   `toml:"dir"`     // text; default the node directory
	// User is who a node's processes run as where onemore runs as root: for servers that refuse to run as root.
	User string `toml:"user"`
	// Environment is for the node's own process only: commands run in the node's environment don't get it. What is in
	// the node's environment wins.
	Environment map[string]string `toml:"environment"` // values: text
	// Order "parallel" (default) starts all at once; "staged" starts each after Staged answers on the one before.
	Order  string `toml:"order"`
	Staged Call   `toml:"staged"`
}

// Bootstrap is how one node is told that it founds the cluster: the first one of a new cluster, and one where all were stopped.
type Bootstrap struct {
	Args        []string          `toml:"args"`        // texts; appended to the start command
	Environment map[string]string `toml:"environment"` // values: text; over that of the start
	// Call holds for a node that may bring back the cluster, all of whose nodes are stopped. Without it: the one that ended last.
	Call Call `toml:"call"`
}

// Ready says when one node serves: all of its listeners are open and its own, and what is given here holds.
type Ready struct {
	Notify bool   `toml:"notify"` // the server speaks sd_notify: READY=1
	Calls  []Call `toml:"call"`
	Log    string `toml:"log"` // regexp of log lines that say why it fails, quoted in errors
	// LogFiles are globs of files in the node directory that the server logs to besides its output: quoted, and kept, likewise.
	LogFiles []string `toml:"log_files"`
	Timeout  Duration `toml:"timeout"` // default: --timeout
}

// Join is how a node becomes a member. Method "config": by what is in its files or environment. "command": by calls run
// for each joining node, one after another. "none": the server needs nothing.
type Join struct {
	Default string                `toml:"default"` // a key of Methods, or "none"
	Methods map[string]JoinMethod `toml:"-"`       // [join.config], [join.command]
}

// JoinMethod is what one method of joining adds.
type JoinMethod struct {
	Environment map[string]string `toml:"environment"`

	Edits []Edit `toml:"edit"`
	Calls []Call `toml:"call"`
	// Joined are edits of a node that has become a member: what it looks for at its next starts.
	Joined []Edit `toml:"joined"`
}

// Add is what adding a node to a formed cluster needs besides Join.
type Add struct {
	Before []Call `toml:"before"` // run for a running member ({{.Peer}}) before the new node is started
	After  []Call `toml:"after"`  // run when the new node is a member
}

// Members asks one node how many running members it sees.
type Members struct {
	// Notify: the server sends X_ONEMORE_MEMBERS=n to NOTIFY_SOCKET with every change; Call is then for later looks.
	Notify bool `toml:"notify"`
	Call   Call `toml:"call"`
	// Timeout is how long it is waited for that all see each other, while nothing moves on; default: one minute.
	Timeout Duration `toml:"timeout"`
	// Otherwise is the call where the When of Call is false.
	Otherwise Call `toml:"otherwise"`
	// Require are calls that must hold on a node besides (the group has a leader, every slot is served) while more than half
	// of the nodes run: with fewer, no server that counts votes can.
	Require []Call `toml:"require"`
	// IncludesStopped: the server counts members that are stopped too (a Raft group's configuration).
	IncludesStopped bool `toml:"includes_stopped"`
}

// Stop is how a node's processes end: Command if given, else Signal; after Grace everything left is killed.
type Stop struct {
	Command []string `toml:"command"` // text
	Signal  string   `toml:"signal"`  // default TERM
	Grace   Duration `toml:"grace"`   // default 10s
	// Discard is the signal where the data is thrown away anyway (down, undo); default KILL.
	Discard string `toml:"discard"`
	// Order "parallel" (default) stops all at once; "staged" one after another, "reverse" likewise from the last to the first.
	Order string `toml:"order"`
}

// Command is a command line that users' arguments are appended to.
type Command struct {
	Command []string `toml:"command"` // text
}

// Client is for those who use the cluster: what to paste, and what they need besides addresses.
type Client struct {
	Commands    []string          `toml:"commands"`    // text, expanded for node 1
	Environment map[string]string `toml:"environment"` // values: text; exported as ONEMORE_NAME and ONEMORE_<N>_NAME
}

// Upgrade is what a rolling upgrade does to a node besides stop, swap and start.
type Upgrade struct {
	Before []Call   `toml:"before"` // drain, on the node itself
	Keep   []string `toml:"keep"`   // globs of the old directory that stay; default: Copy.Exclude (data) and edited files
	// KeepOnRollback: going back keeps the same too, as it is then. For servers whose nodes may not lose what they have told others,
	// such as members of a Raft group.
	KeepOnRollback bool `toml:"keep_on_rollback"`
}

// Snapshot is about copies of all node directories.
type Snapshot struct {
	Note string `toml:"note"` // text: what a copy lacks, shown whenever one is saved; none if it is empty
}

// Faults is how a server breaks the network between its nodes in its own transport, for tests. Without Set it can't.
type Faults struct {
	Set   Call `toml:"set"`   // on the sending node: what goes from it to {{.Fault.Peers}} suffers so from now on; replaces what was set for them
	Clear Call `toml:"clear"` // likewise: nothing suffers any more
}

// OwnFaults reports whether the server breaks its network itself.
func (t *Template) OwnFaults() bool { return !t.Fault.Set.isZero() }

// Call is one question to a server, or one order: exactly one of HTTP, TCP and Exec is set. Its answer is judged by
// Expect and Refuse, and a number is read from it by one of Number, Count and JSON. All strings are texts.
type Call struct {
	HTTP    string            `toml:"http" json:"http,omitempty"` // URL; a status other than 2xx is a failure unless Expect is given
	Method  string            `toml:"method" json:"method,omitempty"`
	Body    string            `toml:"body" json:"body,omitempty"`
	Header  map[string]string `toml:"header" json:"header,omitempty"`
	User    string            `toml:"user" json:"user,omitempty"`       // basic auth NAME:PASSWORD
	TLS     string            `toml:"tls" json:"tls,omitempty"`         // of TCP: "direct", or a regexp of what the server says before TLS begins
	Cert    string            `toml:"cert" json:"cert,omitempty"`       // of a client, for https and tls: PEM file
	Key     string            `toml:"key" json:"key,omitempty"`         // of Cert
	TCP     string            `toml:"tcp" json:"tcp,omitempty"`         // HOST:PORT
	Send    string            `toml:"send" json:"send,omitempty"`       // what is written; the answer is read until the server closes, Expect matches, or Timeout
	Exec    []string          `toml:"exec" json:"exec,omitempty"`       // in the node's directory and environment; exit 0 unless Expect is given
	Expect  string            `toml:"expect" json:"expect,omitempty"`   // regexp that must match
	Refuse  string            `toml:"refuse" json:"refuse,omitempty"`   // regexp that must not match
	Number  string            `toml:"number" json:"number,omitempty"`   // regexp; its first group is the number
	Count   string            `toml:"count" json:"count,omitempty"`     // regexp; the number of its matches; with a group, of the different texts that the group matched
	JSON    string            `toml:"json" json:"json,omitempty"`       // dotted path to a number, or to an array (its length)
	Timeout Duration          `toml:"timeout" json:"timeout,omitzero"`  // of one try; default 5s
	Retry   Duration          `toml:"retry" json:"retry,omitzero"`      // an order is tried again for so long; default 0: once
	On      string            `toml:"on" json:"on,omitempty"`           // "self" (default: each node, or the node it is about), for Form, Add and Leave "peer" (a running member), for Form and Prepare "first" (the first node of a new cluster only)
	Stopped bool              `toml:"stopped" json:"stopped,omitempty"` // for Leave: made once the node has stopped
	Full    bool              `toml:"full" json:"full,omitempty"`       // for Members.Require: asked only while all nodes run
	When    string            `toml:"when" json:"-"`                    // text; "false" leaves the call out
}

// Refresh is one step by which a running node takes in who is a member now: a call, a signal to its process, or a restart.
type Refresh struct {
	Call
	Signal  string `toml:"signal"`
	Restart bool   `toml:"restart"`
}

// Duration is a time.Duration written as "5s" in TOML and JSON.
type Duration struct{ time.Duration }

// TOMLSchema is a text such as "1.5s".
func (Duration) TOMLSchema() *schema.Schema {
	return &schema.Schema{Type: "string", Pattern: schema.DurationPattern}
}

// UnmarshalText reads "1.5s"; the error is time.ParseDuration's.
func (d *Duration) UnmarshalText(b []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(b))
	return err
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
