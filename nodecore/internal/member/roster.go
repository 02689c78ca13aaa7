package member

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Limits on what another node can make this one remember.
const (
	maxMembers = 4096
	maxRemoved = 8192
	maxID      = 64
)

// Member is one node of a cluster.
type Member struct {
	Name    string `json:"name"`              // Name@Host
	ID      string `json:"id"`                // random, new with every cluster that the node enters
	Boot    uint64 `json:"boot"`              // counts the times that the node entered the gossip; never goes back
	Addr    string `json:"addr"`              // ip:port of the cluster port
	Forward string `json:"forward,omitempty"` // ip:port of the port for links between nodes
	Node    string `json:"node,omitempty"`    // random id of the data directory, the same in every cluster
}

// rosterData is the form of a roster on the wire and on disk.
type rosterData struct {
	Members []Member `json:"members,omitempty"`
	Removed []string `json:"removed,omitempty"` // ids
	// Ended is the highest boot of members whose process is known to have ended, by id.
	Ended map[string]uint64 `json:"ended,omitempty"`
}

// roster is what the cluster knows about its members, running or not. Two
// rosters merge to the same one in whatever order they meet: an id that was
// removed stays removed, of two entries of an id the one with the higher boot
// wins, and an ended boot stays ended.
type roster struct {
	mu      sync.Mutex
	members map[string]Member // by id
	removed map[string]bool   // ids
	ended   map[string]uint64 // highest boot, by id, that was seen to end
	sorted  []Member          // members in order; nil after a change
}

func newRoster(n rosterData) *roster {
	r := &roster{members: make(map[string]Member), removed: make(map[string]bool), ended: make(map[string]uint64)}
	r.merge(n)
	return r
}

// put adds or renews a member and tells whether anything changed.
func (r *roster) put(m Member) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.putLocked(m)
}

func (r *roster) putLocked(m Member) bool {
	old, known := r.members[m.ID]
	if m.ID == "" || len(m.ID) > maxID || r.removed[m.ID] || known && old.Boot > m.Boot || old == m {
		return false
	}
	if CheckName(m.Name) != nil || !known && len(r.members) >= maxMembers {
		return false
	}
	if known && old.Boot == m.Boot && m.Forward == "" {
		m.Forward, m.Node = old.Forward, old.Node
	}
	r.members[m.ID] = m
	r.sorted = nil
	return old != m
}

// remove takes ids out for good and tells whether anything changed.
func (r *roster) remove(ids ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.removeLocked(ids)
}

func (r *roster) removeLocked(ids []string) bool {
	changed := false
	for _, id := range ids {
		if id == "" || len(id) > maxID || r.removed[id] || len(r.removed) >= maxRemoved {
			continue
		}
		r.removed[id] = true
		delete(r.members, id)
		delete(r.ended, id)
		r.sorted = nil
		changed = true
	}
	return changed
}

// merge takes in what another node knows and tells whether anything changed.
func (r *roster) merge(n rosterData) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := r.removeLocked(n.Removed)
	for _, m := range n.Members {
		changed = r.putLocked(m) || changed
	}
	for id, boot := range n.Ended {
		changed = r.endLocked(id, boot) || changed
	}
	return changed
}

// end records that a boot of a member is over and tells whether that is news.
func (r *roster) end(id string, boot uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.endLocked(id, boot)
}

func (r *roster) endLocked(id string, boot uint64) bool {
	if _, known := r.members[id]; !known || r.ended[id] >= boot {
		return false
	}
	r.ended[id] = boot
	return true
}

// hasEnded tells whether a life is known to be over.
func (r *roster) hasEnded(id string, boot uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended[id] >= boot
}

func (r *roster) isRemoved(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.removed[id]
}

// byName finds a member, or nil.
func (r *roster) byName(name string) *Member {
	for _, m := range r.list() {
		if m.Name == name {
			return &m
		}
	}
	return nil
}

// list returns the members in the order in which people read names: by length,
// then by letter, so that node2 comes before node10. The caller must not change it.
func (r *roster) list() []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sorted == nil {
		r.sorted = slices.Collect(maps.Values(r.members))
		sortMembers(r.sorted)
	}
	return r.sorted
}

func sortMembers(list []Member) {
	slices.SortFunc(list, func(a, b Member) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}

// data is everything that the roster holds.
func (r *roster) data() rosterData {
	n := rosterData{Members: r.list()}
	r.mu.Lock()
	n.Removed, n.Ended = slices.Sorted(maps.Keys(r.removed)), maps.Clone(r.ended)
	r.mu.Unlock()
	return n
}

// encode is the data for the wire; nil if there is nothing to say.
func (n rosterData) encode() ([]byte, error) {
	if len(n.Members)+len(n.Removed)+len(n.Ended) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("encode roster: %w", err)
	}
	return b, nil
}

// meta is what the gossip carries about a member besides name and address.
func (m Member) meta() []byte { return []byte(m.Node + " " + m.Forward) }

// setMeta is the inverse of meta.
func (m *Member) setMeta(b []byte) { m.Node, m.Forward, _ = strings.Cut(string(b), " ") }
