//go:build soak

package main

const (
	shortRounds  = 50
	runsInARow   = 500
	runsAtOnce   = 100
	killsOverAll = 300
)
