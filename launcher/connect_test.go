package launcher

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onemore/launcher/internal/control"
)

// TestSilentKeeper: a request with a time limit ends though its keeper never answers.
func TestSilentKeeper(t *testing.T) {
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cl := control.NewClient(conn)
	defer cl.Close()
	l := &keeperLink{folder: folder{name: "c", dir: dir}}
	_, err = l.ask(t.Context(), cl, control.Request{Op: control.OpUp, Timeout: 20 * time.Millisecond}, 30*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "not done within 20ms, and the cluster's keeper") {
		t.Errorf("error %v", err)
	}
}

// TestTimeOver: an error of what was ended by the time limit says so.
func TestTimeOver(t *testing.T) {
	ctx, cancel := timeLimit(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	if err := timedOut(ctx, ctx.Err()); err == nil || !strings.Contains(err.Error(), "not done within 1ns") {
		t.Errorf("error %v", err)
	}
	forever, cancel := timeLimit(t.Context(), NoTimeout)
	defer cancel()
	if forever.Err() != nil {
		t.Errorf("no limit is over: %v", forever.Err())
	}
}
