//go:build !soak

package e2e

// How often what is repeated is repeated: enough to see that the test works. `make soak` runs the real counts.
const (
	crashes       = 4 // of each kind
	manyUps       = 1
	runsInARow    = 6
	runsAtOnce    = 1
	killsOverAll  = 12
	killsOfTitled = 4 // of each server
)
