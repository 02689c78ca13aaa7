//go:build soak

package main

const (
	crashes      = 50 // of each kind
	manyUps      = 20
	runsInARow   = 500
	runsAtOnce   = 100
	killsOverAll = 300
)
