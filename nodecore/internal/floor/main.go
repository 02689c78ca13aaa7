// Floor measures how fast N nodes can be one cluster: it starts itself N times
// and prints the milliseconds until every one sees N. No launcher can be
// faster; `make bench` compares against it.
//
// Each is a bare built-in node: the whole of it, but no copy, no configuration
// file, no log, no check of anything, on ports that were found before. With
// -members each is less than a node, only its membership, on ports that are
// held open for it. With -usage it prints what the nodes have used besides.
//
// It is a measuring tool, not a part of the node. Start at measureNodes and node,
// or measureMembers and child.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"time"

	"onemore/nodecore/internal/member"
)

const (
	childEnv = "ONEMORE_FLOOR_CHILD" // number of this child, from 1
	sizeEnv  = "ONEMORE_FLOOR_SIZE"
	firstEnv = "ONEMORE_FLOOR_FIRST" // address of the first node
	dirEnv   = "ONEMORE_FLOOR_DIR"
	portsEnv = "ONEMORE_FLOOR_PORTS" // of all nodes, separated by blanks; not set for a bare member
	limit    = 2 * time.Minute
)

// Files that a child inherits, besides standard ones.
const (
	fdTCP = 3 + iota
	fdUDP
	fdReport // one byte is written when the child sees all members
	fdLife   // end of file means: end

	fdNodeLife = 3 // the same, of a whole node
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run() error {
	switch {
	case os.Getenv(portsEnv) != "":
		return node()
	case os.Getenv(childEnv) != "":
		return child()
	}
	n := flag.Int("n", 3, "number of nodes")
	rounds := flag.Int("rounds", 1, "times to measure")
	usage := flag.Bool("usage", false, "print what a node has used too, the average of all: milliseconds of CPU, minor page faults, packets and streams on the cluster port")
	members := flag.Bool("members", false, "start nothing but the membership of each node")
	flag.Parse()
	if *usage {
		return printUsage(*n, *rounds)
	}
	measure := measureNodes
	if *members {
		measure = measureMembers
	}
	for range *rounds {
		took, err := measure(*n)
		if err != nil {
			return err
		}
		if _, err := fmt.Printf("%.1f\n", float64(took.Microseconds())/1000); err != nil {
			return err
		}
	}
	return nil
}

// measureMembers starts n children and waits until each of them sees n members.
func measureMembers(n int) (took time.Duration, err error) {
	dir, err := os.MkdirTemp("", "onemore-floor-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	report, reportW, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	life, lifeW, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	socks, first, err := openPorts(n)
	if err != nil {
		return 0, err
	}
	for i := range n {
		if err := os.Mkdir(dir+"/"+strconv.Itoa(i+1), 0o700); err != nil {
			return 0, err
		}
	}
	var procs processes
	defer func() { err = errors.Join(err, lifeW.Close(), procs.end()) }()
	begin := time.Now()
	for i := range n {
		err := procs.start([]string{
			childEnv + "=" + strconv.Itoa(i+1), sizeEnv + "=" + strconv.Itoa(n), firstEnv + "=" + first, dirEnv + "=" + dir,
		}, socks[2*i], socks[2*i+1], reportW, life)
		if err != nil {
			return 0, err
		}
	}
	err = errors.Join(reportW.Close(), life.Close(), report.SetReadDeadline(time.Now().Add(limit)))
	if err == nil {
		_, err = io.ReadFull(report, make([]byte, n))
	}
	took = time.Since(begin)
	for _, s := range append(socks, report) {
		err = errors.Join(err, s.Close())
	}
	return took, err
}

// processes are the nodes that were started.
type processes []*os.Process

// start starts this program once more, with files from descriptor 3 on.
func (p *processes) start(env []string, files ...*os.File) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	started, err := os.StartProcess(self, []string{self}, &os.ProcAttr{
		Files: append([]*os.File{os.Stdin, os.Stderr, os.Stderr}, files...), Env: env,
	})
	if err == nil {
		*p = append(*p, started)
	}
	return err
}

// end kills them: a hundred orderly ends take longer than the start.
func (p processes) end() error {
	var errs []error
	for _, one := range p {
		errs = append(errs, one.Kill())
	}
	for _, one := range p {
		_, err := one.Wait()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// openPorts opens a TCP and a UDP socket on one port for every node.
func openPorts(n int) (files []*os.File, first string, err error) {
	for len(files) < 2*n {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, "", err
		}
		udp, uerr := net.ListenPacket("udp", tcp.Addr().String())
		if uerr == nil {
			t, terr := tcp.(*net.TCPListener).File()
			u, uerr := udp.(*net.UDPConn).File()
			if err := errors.Join(terr, uerr, udp.Close()); err != nil {
				return nil, "", err
			}
			if first == "" {
				first = tcp.Addr().String()
			}
			files = append(files, t, u)
		}
		if err := tcp.Close(); err != nil {
			return nil, "", err
		}
	}
	return files, first, nil
}

// child is one bare node.
func child() (err error) {
	runtime.GOMAXPROCS(1)
	size, err := strconv.Atoi(os.Getenv(sizeEnv))
	if err != nil {
		return err
	}
	g, err := openMember(os.Getenv(childEnv), size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	go func() {
		// Any end of this read means that the parent wants no more; the goroutine ends with the process at the latest.
		_, _ = os.NewFile(fdLife, "life").Read(make([]byte, 1))
		cancel()
	}()
	report := os.NewFile(fdReport, "report")
	for {
		select {
		case <-g.Changes():
		case <-ctx.Done():
			return nil
		}
		if report != nil && len(g.View().Running) == size {
			if _, err := report.Write([]byte{1}); err != nil {
				return err
			}
			report = nil
		}
	}
}

func openMember(number string, size int) (*member.Group, error) {
	tcp, err := net.FileListener(os.NewFile(fdTCP, "tcp"))
	if err != nil {
		return nil, err
	}
	udp, err := net.FilePacketConn(os.NewFile(fdUDP, "udp"))
	if err != nil {
		return nil, err
	}
	addr, err := netip.ParseAddrPort(tcp.Addr().String())
	if err != nil {
		return nil, err
	}
	seeds := []member.Target{{Name: "floor1@127.0.0.1", Addr: os.Getenv(firstEnv)}}
	for i := 2; i <= size; i++ { // of these only the names count: so many are to come
		seeds = append(seeds, member.Target{Name: "floor" + strconv.Itoa(i) + "@127.0.0.1", Addr: os.Getenv(firstEnv)})
	}
	dir := os.Getenv(dirEnv) + "/" + number
	g, err := member.Open(member.Config{
		Name: "floor" + number + "@127.0.0.1", Dir: dir, TCP: tcp, UDP: udp, Advertise: addr,
		Secret: []byte("floor"), Seeds: seeds,
	})
	if err != nil {
		return nil, err
	}
	return g, g.Start()
}
