package control

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
)

// TestUnheard distinguishes a keeper that ended before it said anything from one that ended in between.
func TestUnheard(t *testing.T) {
	for _, says := range []string{"", `{"event":{"phase":"stopping"}}` + "\n"} {
		ours, theirs := net.Pipe()
		var keeper sync.WaitGroup
		keeper.Go(func() {
			_, _ = bufio.NewReader(theirs).ReadString('\n')
			_, _ = theirs.Write([]byte(says))
			theirs.Close()
		})
		c := NewClient(ours)
		_, err := c.Do(t.Context(), Request{Op: OpStop}, nil)
		if !errors.Is(err, ErrLost) || errors.Is(err, ErrUnheard) != (says == "") {
			t.Errorf("it said %q: %v", says, err)
		}
		keeper.Wait()
		c.Close()
	}
}

func TestAsError(t *testing.T) {
	if e := AsError(fmt.Errorf("wait: %w", ErrInterrupted)); !e.Interrupted || e.Why != "wait: interrupted" {
		t.Errorf("a client that went away: got %+v", e)
	}
	inner := &Error{Name: "a@h", Phase: "start", Why: "no"}
	if e := AsError(fmt.Errorf("up: %w", inner)); e != inner {
		t.Errorf("an error with evidence was wrapped: %+v", e)
	}
	if e := AsError(ErrBusy); !e.Busy {
		t.Errorf("another keeper: got %+v", e)
	}
	if e := AsError(errors.New("x")); e.Busy || e.Interrupted || e.Why != "x" {
		t.Errorf("any other: got %+v", e)
	}
}
