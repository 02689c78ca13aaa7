//go:build soak

package main

const shortRounds = 50
