package main

import (
	"errors"
	"net"
	"os"
	"time"
)

// ticks is how many signs of life go over a connection in the time after which a silent peer counts as stopped.
const ticks = 4

// links are the open connections to the peers, each the sign of life of both its ends. The cluster's lock guards them.
type links struct {
	open   map[nodeName]map[net.Conn]bool
	loaded map[nodeName]bool // peers whose tables are loaded, as they said
	cut    map[nodeName]bool // peers that fell silent without a word: the network was cut, or they stand still
}

func newLinks() links {
	return links{open: map[nodeName]map[net.Conn]bool{}, loaded: map[nodeName]bool{}, cut: map[nodeName]bool{}}
}

func (l *links) up(peer nodeName) bool { return len(l.open[peer]) > 0 }

func (l *links) add(peer nodeName, conn net.Conn, loaded bool) {
	if l.open[peer] == nil {
		l.open[peer] = map[net.Conn]bool{}
	}
	l.open[peer][conn] = true
	l.loaded[peer] = l.loaded[peer] || loaded
	delete(l.cut, peer)
}

// remove takes out one connection; last says that the peer has no other.
func (l *links) remove(peer nodeName, conn net.Conn) (known, last bool) {
	if !l.open[peer][conn] {
		return false, false
	}
	delete(l.open[peer], conn)
	if l.up(peer) {
		return true, false
	}
	delete(l.open, peer)
	delete(l.loaded, peer)
	return true, true
}

// hangUp ends the connections to a peer; who holds them takes them out.
func (l *links) hangUp(peer nodeName) {
	for conn := range l.open[peer] {
		conn.Close()
	}
}

func (l *links) hangUpAll() {
	for peer := range l.open {
		l.hangUp(peer)
	}
}

// listenTo sends and awaits signs of life until one end is gone. silent says that nothing was heard for so long as tick.
func listenTo(conn net.Conn, tick time.Duration) (silent bool) {
	over := make(chan struct{})
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		ticker := time.NewTicker(tick / ticks)
		defer ticker.Stop()
		for {
			if conn.SetWriteDeadline(time.Now().Add(tick)) != nil {
				return
			}
			if _, err := conn.Write([]byte{0}); err != nil {
				return
			}
			select {
			case <-ticker.C:
			case <-over:
				return
			}
		}
	}()
	defer func() {
		close(over)
		conn.Close()
		<-sent
	}()
	for heard := make([]byte, 64); ; {
		if conn.SetReadDeadline(time.Now().Add(tick)) != nil {
			return false
		}
		if _, err := conn.Read(heard); err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}
