package template

import "fmt"

// checkRefresh sees to it that each step is exactly one of a call, a signal and a restart.
func (t *checker) checkRefresh() {
	for i := range t.Refresh {
		r, key := &t.Refresh[i], fmt.Sprintf("refresh[%d]", i)
		if r.ways()+countTrue(r.Signal != "", r.Restart) != 1 {
			t.found.add(key, "give exactly one of http, tcp, exec, signal = \"HUP\" and restart = true")
		}
		if r.Signal != "" {
			checkOneOf(t.found, key+".signal", r.Signal, signalNames...)
		}
	}
}
