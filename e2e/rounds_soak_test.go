//go:build soak

package e2e

const (
	crashes       = 50 // of each kind
	manyUps       = 20
	runsInARow    = 500
	runsAtOnce    = 100
	killsOverAll  = 300
	killsOfTitled = 75 // of each server
)
