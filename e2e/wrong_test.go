package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// wrongCalls are calls that can't be right, as a shell has them after `onemore `, and what must be said of them: all of the parts, split
// at " | ". The exit code is 2. The folder has wrongFiles; a cluster `w` of two nodes runs.
var wrongCalls = []struct{ call, say string }{
	// Commands.
	{"bogus", "there is no command \"bogus\" | see `onemore --help`"},
	{"statsu", "there is no command \"statsu\" | did you mean `onemore status`?"},
	{"dwon", "did you mean `onemore down`?"},
	{"pu", "did you mean `onemore up`?"},
	{"UP", "did you mean `onemore up`?"},
	{"ps", "there is no command \"ps\" | did you mean `onemore status`?"},
	{"list", "did you mean `onemore ls`?"},
	{"rm", "`onemore down`, which removes the cluster, or `onemore remove NODE`"},
	{"delete", "did you mean `onemore down`?"},
	{"destroy", "did you mean `onemore down`?"},
	{"log", "did you mean `onemore logs`?"},
	{"log 1 -f", "did you mean `onemore logs`?"},
	{"create 3", "did you mean `onemore up`?"},
	{"scale 5", "did you mean `onemore up`?"},
	{"ssh 1", "did you mean `onemore exec`?"},
	{"shell", "did you mean `onemore exec`?"},
	{"inspect", "did you mean `onemore status`?"},
	{"unpause 1", "did you mean `onemore resume`?"},
	{"leave 1", "did you mean `onemore remove`?"},
	{"prune", "did you mean `onemore gc`?"},
	{"backup", "did you mean `onemore snapshot`?"},
	{"template", "did you mean `onemore templates`?"},
	{"snapshots", "did you mean `onemore snapshot`?"},
	{"fault partiton 1 / 2", "there is no command \"fault partiton\" | did you mean `onemore fault partition`?"},
	{"fault nonsense", "there is no command \"fault nonsense\" | see `onemore fault --help`"},
	{"snapshot sav x", "did you mean `onemore snapshot save`?"},
	{"snapshot list", "there is no command \"snapshot list\""},
	{"templates shwo nats", "did you mean `onemore templates show`?"},
	{"templates nonsense", "there is no command \"templates nonsense\""},
	{"completion tcsh", "there is no command \"completion tcsh\""},
	{"help nonsense", "there is no command or topic \"nonsense\" to help with"},
	{"help fautls", "did you mean `onemore help faults`?"},
	{"help fault nonsense", "\"fault nonsense\""},
	{"statu --bogus", "there is no command \"statu\" | did you mean `onemore status`?"},
	// Flags.
	{"--bogus", "`onemore` has no flag --bogus"},
	{"up --bogus", "`onemore up` has no flag --bogus | see `onemore up --help`"},
	{"up --tempalte nats", "has no flag --tempalte | did you mean `--template`?"},
	{"up --souce x", "did you mean `--source`?"},
	{"up --dryrun", "did you mean `--dry-run`?"},
	{"up --json-output", "has no flag --json-output"},
	{"up -x", "`onemore up` has no flag -x"},
	{"up -n 3", "has no flag -n | the number of nodes stands alone: `onemore up 5`"},
	{"up --nodes 3", "the number of nodes stands alone"},
	{"up --replicas 3", "the number of nodes stands alone"},
	{"up --name mine", "-c NAME names the cluster"},
	{"up --port 1883", "--set LISTENER=PORT"},
	{"down --force", "nothing is asked"},
	{"down -y", "nothing is asked"},
	{"status --watc", "`onemore status` has no flag --watc"},
	{"up --=3", "\"--=3\" is no flag"},
	{"up --timeout", "--timeout wants a value such as 30s"},
	{"up --offset", "--offset wants a value: a whole number"},
	{"up -t", "--template wants a value"},
	{"-c", "--cluster wants a value"},
	{"up --timeout 5", "--timeout 5: 5 what? write 5s"},
	{"up --timeout 1.5", "1.5 what? write 1.5s"},
	{"up --timeout soon", "--timeout \"soon\" is no time: write 30s, 5m or 1h30m"},
	{"up --timeout 5sec", "is no time"},
	{"up --timeout=", "is no time"},
	{"up --timeout -5s", "--timeout -5s is before it has begun"},
	{"stop --timeout 10", "10 what? write 10s"},
	{"logs --wait-for x --timeout 3", "3 what? write 3s"},
	{"learn . --settle 2", "2 what? write 2s"},
	{"up --offset x", "--offset \"x\": want a whole number"},
	{"up --offset 1.5", "--offset \"1.5\": want a whole number"},
	{"up --offset 0", "all nodes would have the same ports"},
	{"up --json=maybe", "--json=\"maybe\": want true or false, or --json alone"},
	{"up --keep=2", "want true or false"},
	{"up -t ''", "--template is empty"},
	{"up -c ''", "--cluster names no cluster"},
	{"-c 'a b' up", "cluster name \"a b\" is not valid"},
	{"-c ../x status", "is not valid"},
	{"up -d --foreground", "--detach and --foreground are opposites"},
	{"up --wait=false", "`up` always waits"},
	{"up --set mqtt", "--set \"mqtt\": want NAME=VALUE"},
	{"up --set mqtt --env X --param =1", "--set \"mqtt\" | --env \"X\" | --param \"=1\""},
	{"up --set mqtt=99999", "\"99999\" is no port (1 to 65535)"},
	{"up --set mqtt=x", "\"x\" is no port"},
	{"-c v up --set mqt=1999", "has no listener \"mqt\" | did you mean \"mqtt\"?"},
	{"-c v up --set nolistener=1999", "has no listener \"nolistener\" | --set takes cluster"},
	{"-c v up --param no=such", "has no parameter \"no\" | the template has no parameters"},
	{"-c v up -t ./kvd.toml --param clor=1", "has no parameter \"clor\" | did you mean \"color\"?"},
	{"-c v up -t ./kvd.toml --param color=7", "must match"},
	{"up --node 2=x", "want N:KEY=VALUE"},
	{"up --node 2:colour=x", "unknown key \"colour\""},
	{"up --base sideways", "neither \"auto\" nor a number"},
	{"-c v up --join sideways", "sideways"},
	{"-c v up --spread sideways", "--spread \"sideways\" | use port or address"},
	{"-c v up --host nohost", "is not an IP address"},
	{"env --format yaml", "--format \"yaml\" | use shell, dotenv or json"},
	// Arguments.
	{"up 1 2", "`onemore up` takes [N]; \"2\" is too much"},
	{"up -1", "a cluster of -1 nodes can't be"},
	{"up -- -1", "a cluster of -1 nodes can't be"},
	{"run -2 -- true", "a cluster of -2 nodes can't be"},
	{"up 0", "a cluster of 0 nodes can't be | onemore down"},
	{"up three", "\"three\" is no number of nodes | for example: onemore up 3"},
	{"up 3.5", "\"3.5\" is no number of nodes"},
	{"up nats", "\"nats\" is no number of nodes | `onemore up -t nats` launches that template"},
	{"add x", "\"x\" is no number of nodes to add"},
	{"add -1", "-1 is no number of nodes to add"},
	{"down mine", "`onemore down` takes no \"mine\" | -c NAME names another cluster"},
	{"status 1", "`onemore status` takes no \"1\""},
	{"ls x", "`onemore ls` takes no \"x\""},
	{"gc all", "`onemore gc` takes no \"all\""},
	{"kill", "`onemore kill` wants NODE… | for example: onemore kill 2"},
	{"remove", "`onemore remove` wants NODE…"},
	{"kill -1", "has no flag -1; nodes are numbered from 1"},
	{"exec 1", "`onemore exec` wants NODE… -- CMD… | for example: onemore exec 2"},
	{"exec --all", "wants NODE… -- CMD…"},
	{"exec 1 --", "it names no command"},
	{"ctl", "`onemore ctl` wants NODE… -- ARGS…"},
	{"run 3", "want: onemore run [N] -- COMMAND"},
	{"run 3 pytest", "want: onemore run [N] -- COMMAND"},
	{"learn", "want: onemore learn DIR"},
	{"templates show", "`onemore templates show` wants TEMPLATE"},
	{"snapshot save", "`onemore snapshot save` wants NAME"},
	{"snapshot rm", "`onemore snapshot rm` wants NAME…"},
	{"fault partition", "`onemore fault partition` wants NODE"},
	{"init x", "\"x\" is no number of nodes | for example: onemore init 3"},
	// Templates.
	{"up -t nope", "unknown template \"nope\" | `onemore templates` lists"},
	{"-c v up -t nast", "unknown template \"nast\" | did you mean \"nats\"?"},
	{"templates show ectd", "did you mean \"etcd\"?"},
	{"up -t ./missing.toml", "no such file | give the file or the folder of a template"},
	{"-c v up -t ./broken.toml", "line 2: listeners.client.port: want a whole number, not a text: write 4222, without quotes" +
		" | line 3: listeners.client.prt: unknown key; did you mean \"port\"? | line 5: start.command: want a list, not a text: write [\"x\"]" +
		" | line 7: ready.timeout: \"5\": 5 what? write \"5s\" | `onemore help templates`"},
	{"up -s missing", "no such file or directory"},
	{"up -s kvd.toml", "is a file, not a directory"},
	// The project file.
	{"-f missing.toml up", "no such file | `onemore init` writes a project file"},
	{"-f wrong.toml status", "line 1: nodes: want a whole number, not a text: write 3, without quotes | line 2: clustr: unknown key; did you mean \"cluster\"?" +
		" | line 3: timeout: \"5\": 5 what? write \"5s\" | line 5: set.mqtt: want a whole number | line 7: env.A: want a text, not a whole number: write \"1\" | `onemore help project`"},
	{"-f syntax.toml up", "line 1: "},
	// Nodes of a cluster.
	{"-c w stop 3", "cluster \"w\" has no node \"3\" | its nodes: 1 (onemore1@127.0.0.1), 2"},
	{"-c w stop 1,3", "has no node \"3\""},
	{"-c w stop 1-5", "has no node \"5\""},
	{"-c w stop 2-1", "the range \"2-1\" ends before it begins | did you mean 1-2?"},
	{"-c w kill onemroe1", "has no node \"onemroe1\" | did you mean \"onemore1\"?"},
	{"-c w remove all", "that would remove every node | use `onemore down`"},
	{"-c w url 1 mqt", "node 1 has no listener \"mqt\" | did you mean \"mqtt\"?"},
	{"-c w url 1", "`onemore url` wants NODE LISTENER | for example: onemore url 1 http"},
	{"-c w status -o narrow", "--output \"narrow\" | use wide, or --json"},
	{"-c w logs three", "has no node \"three\""},
	{"-c w logs --node 9", "has no node \"9\""},
	{"-c w exec 7 -- true", "has no node \"7\""},
	{"-c w logs --since yesterday", "is neither a duration (5m) nor a time"},
	{"-c w logs --grep '('", "--grep: "},
	{"-c w fault one-way 1 2 3", "no ->, <->, to or and is between its two sides"},
	{"-c w fault delay 1 and 2 50", "\"50\" is no time such as 50ms"},
	{"-c w fault delay 1 and 2 11s", "node onemore | delay 11s is not between 0 and 10s"},
	{"-c w fault drop 1 and 2 200%", "is no percentage"},
	{"-c w fault partition 1 / 1", "node 1 is on both sides"},
	{"-c w fault heal 4", "there is no fault 4"},
	{"-c w fault heal x", "\"x\" is no number of a fault"},
	{"-c w upgrade --rollback --bin x", "--rollback goes back to what was"},
	{"-c x up --from none 3", "give no number with --from"},
	{"-c x up --from none --offset 5", "--offset does not go with --from"},
}

var wrongFiles = map[string]string{
	"kvd.toml":    "[node]\nname = \"k{{.NameIndex}}\"\n[listeners.client]\nport = 4222\n[params.color]\ndefault = \"red\"\nmatch = \"red|blue\"\n[start]\ncommand = [\"sleep\", \"{{.Param.color}}\"]\n",
	"broken.toml": "[listeners.client]\nport = \"4222\"\nprt = 1\n[start]\ncommand = \"x\"\n[ready]\ntimeout = \"5\"\n",
	"wrong.toml":  "nodes = \"3\"\nclustr = \"x\"\ntimeout = \"5\"\n[set]\nmqtt = \"1883\"\n[env]\nA = 1\n",
	"syntax.toml": "nodes = = 3\n",
}

// TestWrongCalls is the table of wrong calls.
func TestWrongCalls(t *testing.T) {
	t.Parallel()
	if len(wrongCalls) < 100 {
		t.Fatalf("%d calls only", len(wrongCalls))
	}
	h := newHost(t)
	h.ok("-c", "w", "up", "2", "--base", "auto", "-q")
	dir := t.TempDir()
	for name, text := range wrongFiles {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, wrong := range wrongCalls {
		t.Run(wrong.call, func(t *testing.T) {
			errs, code := h.shell(dir, "onemore "+wrong.call)
			if code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			for part := range strings.SplitSeq(wrong.say, " | ") {
				if !strings.Contains(errs, part) {
					t.Errorf("it lacks %q:\n%s", part, errs)
				}
			}
			for _, foreign := range []string{"invalid argument", "strconv", "time: missing", "time: invalid", "arg(s)", "unknown shorthand", " toml: ", "unmarshal", "flag needs"} {
				if strings.Contains(errs, foreign) {
					t.Errorf("it has %q, which is not in our words:\n%s", foreign, errs)
				}
			}
		})
	}
	if st, ok := h.status("w"); !ok || st.State != "running" {
		t.Errorf("a wrong call changed the cluster: %+v", st)
	}
	h.ok("-c", "w", "down", "-q")
}

// shell runs a command line in a folder and returns what it said on stderr, and its exit code.
func (h *host) shell(dir, line string) (stderr string, code int) {
	h.t.Helper()
	c := h.cmd()
	c.Path, c.Args, c.Dir = "/bin/sh", []string{"sh", "-c", line}, dir
	var errs bytes.Buffer
	c.Stderr = &errs
	var exit *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &exit) {
		h.t.Fatal(err)
	}
	return errs.String(), c.ProcessState.ExitCode()
}
