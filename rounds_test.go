//go:build !soak

package main

// shortRounds is enough to see that the test works; `make soak` runs the real count.
const shortRounds = 4
