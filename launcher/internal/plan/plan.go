// Package plan decides everything about a cluster before anything is touched: names, directories, ports, edits, commands
// and their order. It is pure: no I/O, no clock, no randomness; the host's view, the secret and the ids are given to it,
// and the same input gives the same Plan.
//
// It is not the order in which an `up` acts, and it carries nothing out: a Plan is fully expanded, so that the keeper runs it
// without knowing a template.
//
// Start at Make, which first lets a solver find a layout of the ports (solver.go: what is checked; search.go: which layouts
// are tried; explain.go: why one does not work), and then expands the texts of the template for each node (expand.go).
package plan

import (
	"onemore/launcher/internal/confedit"
	"onemore/launcher/internal/template"
)

// Plan is one cluster, decided. It is what `up --dry-run --json` prints, what is recorded on disk, and what a keeper runs.
type Plan struct {
	Cluster  string `json:"cluster"`
	ID       string `json:"id"` // random, marks processes (ONEMORE_CLUSTER_ID) and directories
	Template string `json:"template"`
	Dir      string `json:"dir"` // absolute; the cluster's folder
	Offset   int    `json:"offset"`
	Shift    int    `json:"shift"` // added to every base port (--base)
	// NumberShift is added to node numbers, where numbers make ports that another cluster holds; Block is the third octet
	// of the nodes' own addresses (--spread address).
	NumberShift int  `json:"number_shift,omitempty"`
	Block       int  `json:"block,omitempty"`
	Staged      bool `json:"staged"`
	Fixed       bool `json:"fixed,omitempty"` // it keeps the nodes that it was made with
	// Files are the template's own: laid first into the directory of every node that has no source.
	Files  []File     `json:"files,omitempty"`
	Shared []Listener `json:"shared,omitempty"`
	// Services are the cluster's helper processes. A record of an older onemore has at most one, as Service.
	Services []Service `json:"services,omitempty"`
	Service  *Service  `json:"service,omitempty"`
	Nodes    []Node    `json:"nodes"`
	// Seed are calls of the first node, made once, when the new cluster has settled.
	Seed    []Call   `json:"seed,omitempty"`
	Inherit Inherit  `json:"inherit,omitzero"`
	Notes   []string `json:"notes,omitempty"` // what people should know: "offset 1000 makes … collide; 1001 is used"
	// Options are what the plan was made from, so that nodes can be added to it later in the same method.
	Options Options `json:"options"`
}

// Node is one node, decided. Env is complete but for the environment that the keeper itself was given.
type Node struct {
	Index     int        `json:"index"`           // 1…
	NameIndex int        `json:"name_index"`      // Index + NumberShift of the plan that made the node
	Added     bool       `json:"added,omitempty"` // to a formed cluster, rather than made with it
	Name      string     `json:"name"`
	Role      string     `json:"role,omitempty"`
	Host      string     `json:"host"`
	Salt      string     `json:"salt,omitempty"` // of an added node: template.Node.Salt
	Number    int        `json:"number"`         // digits before @ in Name, 0 if none
	Folder    string     `json:"folder"`         // Plan.Dir/INDEX: ours, holds Dir, Log and the start script
	Dir       string     `json:"dir"`            // the node directory: the copy
	Log       string     `json:"log"`
	Source    string     `json:"source,omitempty"` // absolute; "" = only the template's own files
	Exclude   []string   `json:"exclude,omitempty"`
	Share     []string   `json:"share,omitempty"`
	Dirs      []string   `json:"dirs,omitempty"`
	Listeners []Listener `json:"listeners"`
	Edits     []FileEdit `json:"edits,omitempty"`
	Joined    []FileEdit `json:"joined,omitempty"` // made when the node has become a member
	Files     []File     `json:"files,omitempty"`
	Bin       string     `json:"bin,omitempty"`       // the program, absolute
	Env       []string   `json:"env,omitempty"`       // K=V, sorted
	Given     []string   `json:"given,omitempty"`     // names of those variables that people gave
	StartEnv  []string   `json:"start_env,omitempty"` // likewise, for the command below alone; Env wins
	User      string     `json:"user,omitempty"`      // who the node's processes run as, where the keeper is root; "": as the keeper
	Command   []string   `json:"command"`
	Workdir   string     `json:"workdir"`
	Bootstrap *Bootstrap `json:"bootstrap,omitempty"` // if the node founds the cluster; nil: no node is told to
	Prepare   []Call     `json:"prepare,omitempty"`   // run before the node's first start
	Staged    *Call      `json:"staged,omitempty"`
	Ready     Ready      `json:"ready"`
	Join      []Call     `json:"join,omitempty"`   // run when all are ready, in order of Index; node 1 of a new cluster has none
	Form      []Call     `json:"form,omitempty"`   // run when all are ready, only when the cluster is new
	Before    []Call     `json:"before,omitempty"` // only for a node that is added to a formed cluster
	After     []Call     `json:"after,omitempty"`  // likewise
	Leave     []Call     `json:"leave,omitempty"`
	Refresh   []Refresh  `json:"refresh,omitempty"`
	Drain     []Call     `json:"drain,omitempty"`     // before the stop of a rolling upgrade
	Keep      []string   `json:"keep,omitempty"`      // globs that an upgrade keeps
	KeepBack  bool       `json:"keep_back,omitempty"` // going back keeps them too
	Members   Members    `json:"members"`
	Stop      Stop       `json:"stop"`
	Ctl       []string   `json:"ctl,omitempty"`
	Lacks     string     `json:"lacks,omitempty"` // what a snapshot does not have
	Client    []string   `json:"client,omitempty"`
	ClientEnv []string   `json:"client_env,omitempty"` // K=V, sorted; what clients need besides addresses
}

// Call is an expanded template.Call and the node in whose directory and environment an Exec of it runs.
type Call struct {
	template.Call
	Node int      `json:"node"`
	Env  []string `json:"env,omitempty"` // K=V, of an Exec, over the node\'s
}

// Refresh is one step by which a running node takes in who is a member now: exactly one of the three.
type Refresh struct {
	Call    *Call  `json:"call,omitempty"`
	Signal  string `json:"signal,omitempty"`
	Restart bool   `json:"restart,omitempty"`
}

// Listener is one planned port of a node (or of the cluster).
type Listener struct {
	Name      string   `json:"name"`
	Protocols []string `json:"protocols"`
	Host      string   `json:"host"` // clients' address
	Bind      string   `json:"bind"` // what the server binds: Host, or 0.0.0.0
	Port      int      `json:"port"`
	URL       string   `json:"url"`
	Scheme    string   `json:"scheme,omitempty"` // of the source\'s value, or the template\'s
	Optional  bool     `json:"optional,omitempty"`
	Derived   bool     `json:"derived,omitempty"`
}

// FileEdit is the edits of one file in the node directory.
type FileEdit struct {
	File     string          `json:"file"`
	Format   string          `json:"format"`
	Edits    []confedit.Edit `json:"edits"`
	IfExists bool            `json:"if_exists,omitempty"`
}

// File is a file that is written into the node directory.
type File struct {
	Path string `json:"path"`
	Text string `json:"text"`
	Mode uint32 `json:"mode"`
	// Existing says what becomes of a file that the source has there: "" replaces it, "keep" leaves it, "merge" adds the
	// values of Text, which is of Format, that it does not have.
	Existing string `json:"existing,omitempty"`
	Format   string `json:"format,omitempty"`
}

// Bootstrap is what is different at the start of a node that founds its cluster.
type Bootstrap struct {
	Args []string `json:"args,omitempty"` // after those of the command
	Env  []string `json:"env,omitempty"`  // K=V, over all other
	Call *Call    `json:"call,omitempty"` // holds for a node that may found it again; nil: the one that ended last does
}

// Ready is how the keeper knows that a node serves.
type Ready struct {
	Notify bool   `json:"notify,omitempty"`
	Calls  []Call `json:"calls,omitempty"`
	Log    string `json:"log,omitempty"`
	// LogFiles are globs in the node's directory.
	LogFiles []string          `json:"log_files,omitempty"`
	Timeout  template.Duration `json:"timeout"` // 0: the operation's own
}

// Members is how the keeper asks a node for the members that it sees.
type Members struct {
	Notify          bool              `json:"notify,omitempty"`
	Call            *Call             `json:"call,omitempty"`
	Require         []Call            `json:"require,omitempty"`
	IncludesStopped bool              `json:"includes_stopped,omitempty"`
	Timeout         template.Duration `json:"timeout,omitzero"` // 0: the operation's own
}

// Stop is how a node is stopped.
type Stop struct {
	Command []string          `json:"command,omitempty"`
	Signal  string            `json:"signal"`
	Discard string            `json:"discard"`
	Grace   template.Duration `json:"grace"`
	// Order says how several nodes are stopped: "" all at once, "staged" one after another, "reverse" from the last to the first.
	Order string `json:"order,omitempty"`
}
