//go:build soak

package launchertest_test

import "time"

const (
	partitions     = 20
	partitionLasts = 10 * time.Second
	rollings       = 5
	retainedWithin = 2 * time.Second
)
