package peer

// Stat describes the link to one peer.
type Stat struct {
	Name    string // node name of the peer
	State   string // idle (nothing to say yet), dialing, up, down
	Queued  int    // frames not yet handled by the peer
	Bytes   int    // their size
	Sent    uint64 // frames sent, repetitions included
	Dropped uint64 // frames given up
}
