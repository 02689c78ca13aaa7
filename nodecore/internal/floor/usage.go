package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// usage is what nodes have used until their cluster had formed, the sum of all.
type usage struct {
	cpu     float64 // milliseconds
	faults  float64 // minor page faults
	packets float64 // sent on the cluster port
	streams float64 // dialed
}

// printUsage prints, for every round, the time until n nodes are a cluster, and
// what one of them has used, on the average.
func printUsage(n, rounds int) error {
	for range rounds {
		var u usage
		took, err := startNodes(n, func(procs processes, ports []string) error {
			for _, p := range procs {
				if err := u.addProcess(p.Pid); err != nil {
					return err
				}
			}
			for i := range procs { // last, since it is work for the nodes
				if err := u.addTraffic("127.0.0.1:" + ports[i*portsEach+portHTTP]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		each := func(sum float64) float64 { return sum / float64(n) }
		_, err = fmt.Printf("%.1f %.2f %.0f %.1f %.1f\n", float64(took.Microseconds())/1000,
			each(u.cpu), each(u.faults), each(u.packets), each(u.streams))
		if err != nil {
			return err
		}
	}
	return nil
}

// addProcess adds the CPU time and page faults of a process, as Linux counts them.
func (u *usage) addProcess(pid int) error {
	dir := "/proc/" + strconv.Itoa(pid)
	threads, err := filepath.Glob(dir + "/task/*/schedstat")
	if err != nil {
		return err
	}
	for _, t := range threads {
		raw, err := os.ReadFile(t)
		if err != nil {
			return err
		}
		ns, err := strconv.ParseFloat(strings.Fields(string(raw))[0], 64)
		if err != nil {
			return fmt.Errorf("read %q: %w", t, err)
		}
		u.cpu += ns / 1e6
	}
	raw, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	faults, err := strconv.ParseFloat(strings.Fields(rest)[7], 64)
	if err != nil {
		return fmt.Errorf("read %q: %w", dir+"/stat", err)
	}
	u.faults += faults
	return nil
}

// addTraffic adds what a node says of its cluster port.
func (u *usage) addTraffic(addr string) (err error) {
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		to := map[string]*float64{"onemore_cluster_packets_sent_total": &u.packets, "onemore_cluster_streams_dialed_total": &u.streams}[name]
		if to == nil {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fmt.Errorf("read metrics of %s: %w", addr, err)
		}
		*to += v
	}
	return nil
}
