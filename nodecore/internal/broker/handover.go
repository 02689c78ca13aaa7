package broker

import "onemore/nodecore/internal/peer"

// listSessions tells a peer which sessions are here, so that of those that are on both, the older one is released.
func (tk *takeovers) listSessions(name string) {
	all := tk.b.sessions.list()
	var body []byte
	for i, s := range all {
		s.mu.Lock()
		if !s.gone && s.stamp.t != 0 {
			body = s.stamp.append(appendString(body, s.id))
		}
		s.mu.Unlock()
		if len(body) > chunkMax || len(body) > 0 && i == len(all)-1 {
			tk.b.mesh.Send(name, peer.Frame{Kind: frameSessions, Body: body, Must: true})
			body = nil
		}
	}
}

// sessionsOf handles another node's list.
func (tk *takeovers) sessionsOf(from string, r *reader) error {
	for len(r.b) > 0 && !r.bad {
		client, at := r.string(), r.stamp()
		if r.bad {
			break
		}
		tk.b.clock.saw(at)
		send := func(state []byte) { tk.b.tell(from, frameHandOver, state, nil) }
		if tk.release(from, client, at, false, send) == answerNewer {
			if s := tk.b.sessions.get(client); s != nil {
				s.mu.Lock()
				at := s.stamp
				s.mu.Unlock()
				tk.b.tell(from, frameSessions, at.append(appendString(nil, client)), nil)
			}
		}
	}
	if r.bad {
		return errMalformed
	}
	return nil
}

// handOver sends messages of a session that has moved to the node where it is now.
func (tk *takeovers) handOver(to, client string, hops byte, all []delivery) {
	st := sessionState{id: client, hops: hops, messages: all}
	tk.b.mesh.Send(to, peer.Frame{Kind: frameHandOver, Body: st.append(nil), Keep: true})
}

// handedOver adds what another node had for a session to the session here.
func (tk *takeovers) handedOver(from string, r *reader) error {
	st := r.sessionState()
	if r.bad {
		return errMalformed
	}
	s, stub := tk.b.sessions.get(st.id), tk.b.sessions.getMoved(st.id)
	switch {
	case s != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case st.expiry > 0 && (s.fresh || !s.clean): // its node has come back, maybe while the client is connecting
			s.move.importLocked(st, nil)
		case !s.clean:
			if s.fresh { // several nodes may pass on the same
				s.dedupLocked()
			}
			s.addLocked(st.messages, st.stamp.t != 0)
		}
		if st.expiry > 0 {
			s.move.from = append(s.move.from, from)
			tk.b.background.Go(func() {
				if tk.b.store.Wait(tk.b.store.Number()) == nil {
					tk.settle(s)
				}
			})
		}
	case stub != nil && st.hops < maxHops:
		stub.mu.Lock()
		to := stub.move.to
		stub.mu.Unlock()
		tk.handOver(to, st.id, st.hops+1, st.messages)
	}
	return nil
}

// settled handles the news that a session that moved away gets all its messages where it is now.
func (tk *takeovers) settled(r *reader) error {
	client := r.string()
	if r.bad {
		return errMalformed
	}
	s := tk.b.sessions.getMoved(client)
	if s != nil {
		s.move.settle()
	}
	for _, name := range tk.b.mesh.Peers() {
		if !tk.b.mesh.Up(name) {
			return nil // it may have messages for the session that were sent here before
		}
	}
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.move.forwardForLocked(graceTime) // for what is on its way
	}
	return nil
}
