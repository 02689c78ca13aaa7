package launcher

import (
	"fmt"
	"path/filepath"

	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/proc"
)

// clusterUser is who the processes of a cluster's nodes run as, where onemore runs as root; "": as onemore.
func clusterUser(p *Plan) string {
	if p.Options.User == "" && len(p.Nodes) > 0 {
		return p.Nodes[0].User
	}
	return p.Options.User
}

// runsAs is who a command in a node's environment runs as, nil: as this process.
func runsAs(n NodePlan) (*proc.User, error) {
	if n.User == "" || !proc.CanSwitchUser() {
		return nil, nil
	}
	return proc.LookupUser(n.User)
}

// checkUser refuses a user that there is none of, or that can't get to the clusters' folder home.
func (o Options) checkUser(name, home string) error {
	if name == "" {
		return nil
	}
	if !proc.CanSwitchUser() {
		if o.User == "" {
			return nil
		}
		return &InputError{Err: fmt.Errorf("%s: only root can run nodes as another user", o.label("user")), Hint: "leave it out: they run as you"}
	}
	u, err := proc.LookupUser(name)
	if err != nil {
		if o.User != "" {
			err = fmt.Errorf("%s: %w", o.label("user"), err)
		} else {
			err = fmt.Errorf("nodes of this template don't run as root: %w", err)
		}
		return &InputError{Err: err, Hint: "name one that does with --user, make one (`useradd --system " + name + "`), or run onemore as somebody else"}
	}
	at, mode, err := nodedir.Unreachable(filepath.Dir(home), u.UID, append(u.Groups, u.GID))
	if err != nil {
		return err
	}
	if at == "" {
		return nil
	}
	return &InputError{Err: fmt.Errorf("user %q, who the nodes run as, can't get to %s: %s has mode %04o", name, home, at, mode),
		Hint: "set ONEMORE_HOME to a folder elsewhere, such as /var/lib/onemore"}
}
