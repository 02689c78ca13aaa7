package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Waits of the stand-in at STANDIN_SPEED=1. The real ones, measured on 4.4.19 and 5.0.26, stand beside them.
const (
	bootTime     = 300 * time.Millisecond  // 5–13 s
	ctlBoot      = 50 * time.Millisecond   // 0.6–2 s: each command boots a VM
	stopTime     = 100 * time.Millisecond  // 1.5 s after the listeners are gone
	checkTime    = 225 * time.Millisecond  // 4.5 s
	noHostTime   = 400 * time.Millisecond  // 8 s
	giveUp44     = 2090 * time.Millisecond // 209 s
	giveUp50     = 1940 * time.Millisecond // 194 s
	slowProbe    = 80 * time.Millisecond   // HTTP port open, no answer yet
	mendTime     = time.Second
	firstRound   = 20 * time.Millisecond  // of discovery; ours: the real one looks while the others boot
	roundTime    = 250 * time.Millisecond // 5 s between two tries of discovery
	joinTime     = 50 * time.Millisecond  // 1 s and more: applications stop and start
	leaveTime    = 450 * time.Millisecond // 7–12 s
	retryTime    = 500 * time.Millisecond // 10–12 s, of a node that waits for others' tables
	healTime     = time.Second            // 20 s
	pollInterval = 15 * time.Millisecond
	dialTimeout  = 2 * time.Second        // not scaled: loopback answers or it does not
	pingTimeout  = 300 * time.Millisecond // not scaled: one of many tries
	askTimeout   = 5 * time.Second        // not scaled: how long a peer that hangs is waited for
)

// Defaults of the variables that shorten the wait of `start`, in the script's own seconds.
const (
	waitSeconds44 = 150 // WAIT_FOR_ERLANG
	waitSeconds50 = 120 // EMQX_WAIT_FOR_START
)

// pace scales every wait: STANDIN_SPEED=2 is twice as fast.
type pace float64

func paceFrom(env environment) (pace, error) {
	text := env.get("STANDIN_SPEED")
	if text == "" {
		return 1, nil
	}
	speed, err := strconv.ParseFloat(text, 64)
	if err != nil || speed <= 0 {
		return 0, fmt.Errorf("read STANDIN_SPEED %q: want a number above 0", text)
	}
	return pace(speed), nil
}

func (p pace) of(d time.Duration) time.Duration { return time.Duration(float64(d) / float64(p)) }

// wait returns after d of the stand-in's time, or at once with the reason when ctx is over.
func (p pace) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(p.of(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// until polls cond until it holds; false when ctx is over first.
func until(ctx context.Context, cond func() bool) bool {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for !cond() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return cond()
		}
	}
	return true
}

// environment is a process's environment, the last of equal names first.
type environment []string

func (e environment) get(name string) string {
	for i := len(e) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(e[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// The ways to go wrong that STANDIN_FAULT can ask for.
const (
	faultExit       = "exit-at-once"
	faultNoListen   = "never-listen"
	faultNoJoin     = "never-join"
	faultIgnoreTerm = "ignore-term"
	faultFork       = "fork-away"
	faultChatty     = "chatty"
	faultMissing    = "missing-listener"
)

// faults are the ways in which one node goes wrong.
type faults map[string]bool

// faultsFrom reads STANDIN_FAULT, a comma list of KIND or KIND@SHORTNAME; the latter is for that node only.
func faultsFrom(env environment, node nodeName) (faults, error) {
	known := map[string]bool{
		faultExit: true, faultNoListen: true, faultNoJoin: true, faultIgnoreTerm: true,
		faultFork: true, faultChatty: true, faultMissing: true,
	}
	all := faults{}
	for item := range strings.SplitSeq(env.get("STANDIN_FAULT"), ",") {
		kind, short, some := strings.Cut(strings.TrimSpace(item), "@")
		switch {
		case kind == "":
		case !known[kind]:
			return nil, fmt.Errorf("read STANDIN_FAULT: unknown fault %q", kind)
		case !some || short == node.short():
			all[kind] = true
		}
	}
	return all, nil
}
