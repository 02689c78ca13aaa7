package proc

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// CanGroup says why processes can't be given a group id of their own, or nil.
func CanGroup(gid int) error {
	if os.Geteuid() != 0 {
		return errors.New("it takes root")
	}
	const setgid, netAdmin = 1 << unix.CAP_SETGID, 1 << unix.CAP_NET_ADMIN
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if data[0].Effective&setgid == 0 || data[0].Effective&netAdmin == 0 {
		return errors.New("it takes the capabilities CAP_NET_ADMIN and CAP_SETGID")
	}
	f, err := os.Open("/proc/self/gid_map")
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		var first, outside, count int
		if _, err := fmt.Fscan(f, &first, &outside, &count); err != nil {
			return fmt.Errorf("group id %d is not mapped into this user namespace", gid)
		}
		if gid >= first && gid-first < count {
			return nil
		}
	}
}
