package node

import (
	"os"
	"path/filepath"

	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
)

// userOf is who the processes of a node run as, nil: who the keeper is. Only root can choose.
func userOf(p plan.Node) (*proc.User, error) {
	if p.User == "" || !proc.CanSwitchUser() {
		return nil, nil
	}
	return proc.LookupUser(p.User)
}

// handOver lets the user of a node's processes own its directory and get there: the node's folder lets the user's group through,
// the folders above it, which are onemore's, everybody who knows the way. It returns the user, nil without one.
func handOver(p plan.Node) (*proc.User, error) {
	u, err := userOf(p)
	if u == nil || err != nil {
		return nil, err
	}
	cluster := filepath.Dir(p.Folder)
	if err := nodedir.LetThrough(cluster, filepath.Dir(cluster)); err != nil {
		return nil, err
	}
	if err := os.Chown(p.Folder, -1, int(u.GID)); err != nil {
		return nil, err
	}
	if err := os.Chmod(p.Folder, 0o710); err != nil {
		return nil, err
	}
	return u, nodedir.Give(p.Dir, u.UID, u.GID)
}
