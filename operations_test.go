package main

import (
	"context"
	"strings"
	"sync"
	"testing"
)

// TestStatusMeanwhile: whoever looks while a cluster is made, changed and taken down gets an answer, and disturbs nothing.
func TestStatusMeanwhile(t *testing.T) {
	h := newHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, errs, code := h.run("-c", "m", "status", "--json"); code != 0 && !strings.Contains(errs, "there is no such cluster") {
					t.Errorf("status: exit %d: %s", code, errs)
				}
			}
		})
	}
	for range rounds / 2 {
		h.ok("-c", "m", "up", "2", "--base", "auto", "-q")
		h.ok("-c", "m", "add", "-q")
		h.ok("-c", "m", "stop", "1", "-q")
		h.ok("-c", "m", "start", "1", "-q")
		h.ok("-c", "m", "remove", "2", "-q")
		h.ok("-c", "m", "down", "-q")
	}
}
