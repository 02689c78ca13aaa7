package template

import "fmt"

// checkRefresh sees to it that each step is exactly one of a call, a signal and a restart.
func (t *checker) checkRefresh() {
	for i := range t.Refresh {
		r, key := &t.Refresh[i], fmt.Sprintf("refresh[%d]", i)
		ways := 0
		for _, given := range []bool{!r.Call.isZero(), r.Signal != "", r.Restart} {
			if given {
				ways++
			}
		}
		if ways != 1 {
			t.found.add(key, "give exactly one of http, tcp, exec, signal = \"HUP\" and restart = true")
		}
		if r.Signal != "" {
			checkOneOf(t.found, key+".signal", r.Signal, signalNames...)
		}
	}
}
