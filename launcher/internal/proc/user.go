package proc

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// User is who a process runs as. Only root can start one as somebody else.
type User struct {
	Name, Home string
	UID, GID   uint32
	Groups     []uint32 // GID and all others
}

// CanSwitchUser reports whether this process may start others as any user.
func CanSwitchUser() bool { return os.Geteuid() == 0 }

// LookupUser finds the user of a name, or of a number.
func LookupUser(name string) (*User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if byID, other := user.LookupId(name); other == nil {
			u, err = byID, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("user %q does not exist on this host", name)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("find the groups of user %q: %w", name, err)
	}
	out := &User{Name: u.Username, Home: u.HomeDir}
	for i, id := range append([]string{u.Uid, u.Gid}, ids...) {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %q has the id %q, which is no number", name, id)
		}
		switch i {
		case 0:
			out.UID = uint32(n)
		case 1:
			out.GID = uint32(n)
		default:
			out.Groups = append(out.Groups, uint32(n))
		}
	}
	return out, nil
}

// Environ are the variables that a login of the user has of its own.
func (u *User) Environ() []string {
	return []string{"HOME=" + u.Home, "USER=" + u.Name, "LOGNAME=" + u.Name}
}
