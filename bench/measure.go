package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"
)

// row is one line of the table; a goal of – makes it one for information.
type row struct {
	what, measured, reference, ratio, goal string
	ok                                     bool
}

func (r row) String() string {
	reached := "yes"
	switch {
	case r.goal == "–":
		reached = "–"
	case !r.ok:
		reached = "**no**"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", r.what, r.measured, r.reference, r.ratio, r.goal, reached)
}

// atMost is a row whose ratio of two times must not be above goal.
func atMost(what string, measured, reference time.Duration, name string, goal float64) row {
	r := float64(measured) / float64(reference)
	return row{what, ms(measured), ms(reference) + " " + name, fmt.Sprintf("%.2f", r), fmt.Sprintf("≤ %.2f ×", goal), r <= goal}
}

// forInformation is a row without a goal.
func forInformation(r row) row {
	r.goal, r.ok = "–", true
	return r
}

// within is a row whose time must not be above a limit.
func within(what string, measured, limit time.Duration) row {
	return row{what, ms(measured), "–", "–", "≤ " + ms(limit), measured <= limit}
}

func ms(d time.Duration) string {
	v := float64(d.Microseconds()) / 1000
	if v >= 100 {
		return fmt.Sprintf("%.0f ms", v)
	}
	return fmt.Sprintf("%.1f ms", v)
}

// median of at least one value.
func median[T time.Duration | float64](vs []T) T {
	s := slices.Sorted(slices.Values(vs))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// step measures one thing once.
type step func(context.Context) (time.Duration, error)

// inTurn runs all steps, one after another, rounds times, and returns the median of each. One round more, whose times are
// not counted, comes first: it warms caches.
func inTurn(ctx context.Context, rounds int, steps ...step) ([]time.Duration, error) {
	times := make([][]time.Duration, len(steps))
	for round := range rounds + 1 {
		for i, s := range steps {
			d, err := s(ctx)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return nil, err
			}
			if round > 0 {
				times[i] = append(times[i], d)
			}
		}
		fmt.Fprint(os.Stderr, ".")
	}
	fmt.Fprintln(os.Stderr)
	out := make([]time.Duration, len(steps))
	for i := range times {
		out[i] = median(times[i])
	}
	return out, nil
}

func numbers(s string) ([]int, error) {
	var out []int
	for _, w := range words(s) {
		n, err := strconv.Atoi(w)
		if err != nil {
			return nil, fmt.Errorf("read number %q: %w", w, err)
		}
		out = append(out, n)
	}
	return out, nil
}
