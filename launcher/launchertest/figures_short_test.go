//go:build !soak

package launchertest_test

import "time"

// How often, how long, and how soon: enough to see that it works, on a busy machine too. `make soak` runs the real figures.
const (
	partitions     = 2
	partitionLasts = time.Second
	rollings       = 1
	retainedWithin = 20 * time.Second
)
