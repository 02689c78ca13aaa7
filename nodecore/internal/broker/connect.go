package broker

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// bridgeBit in the protocol version says that the client is a bridge: what it subscribes to keeps its retain flag, and what it
// publishes does not come back to it.
const bridgeBit = 0x80

// connect validates a CONNECT, makes or resumes the session, and queues the CONNACK.
func (c *conn) connect(pk packets.Packet) error {
	name := string(pk.Connect.ProtocolName)
	if v := pk.ProtocolVersion; v == bridgeBit|3 || v == bridgeBit|4 { // mosquitto's way to say that it is a bridge
		c.bridge, pk.ProtocolVersion = true, v&^bridgeBit
	}
	switch {
	case name == "MQTT" && (pk.ProtocolVersion == 4 || pk.ProtocolVersion == 5), name == "MQIsdp" && pk.ProtocolVersion == 3:
	case name == "MQTT" || name == "MQIsdp":
		c.version = min(pk.ProtocolVersion, 4)
		return c.refuse(packets.ErrUnsupportedProtocolVersion)
	default:
		return packets.ErrProtocolViolationProtocolName
	}
	c.version = pk.ProtocolVersion
	c.noReasons = c.version == 5 && pk.Properties.RequestProblemInfoFlag && pk.Properties.RequestProblemInfo == 0
	if err := validConnect(pk); err != nil {
		return c.refuse(*err)
	}
	if !c.b.Admission.await(c.ended) {
		return c.refuse(packets.ErrServerUnavailable)
	}
	if c.maxPacket = pk.Properties.MaximumPacketSize; c.maxPacket == 0 && c.version == 5 { // an alias could make a message too large
		c.maxAliases = min(pk.Properties.TopicAliasMaximum, aliasMax)
	}
	c.keepalive = time.Duration(pk.Connect.Keepalive) * 1500 * time.Millisecond
	if most := c.b.cfg.ServerKeepAlive * 3 / 2; c.version == 5 && most > 0 && (c.keepalive == 0 || c.keepalive > most) {
		c.keepalive, c.limitedAlive = most, true
	}
	id, assigned := strings.Clone(pk.Connect.ClientIdentifier), ""
	if id == "" {
		assigned = newClientID()
		id = assigned
	}
	if pk.Connect.WillFlag {
		c.will = newWill(pk, id, c.version)
	}
	s, err := c.b.sessions.attach(c, id, pk, assigned)
	if err != nil {
		return c.refuse(*err)
	}
	c.b.wills.tell(c.will, true)
	if err := c.b.store.Wait(c.b.needed(s.keeps())); err != nil {
		c.b.log.Debug("client not accepted", "client", id, "error", err)
		why := c.refuse(packets.ErrQuotaExceeded)
		c.leave()
		return why
	}
	c.b.takeovers.settle(s)
	c.b.sessions.stopForwarding(id)
	if c.b.log.Enabled(c.b.ctx, slog.LevelDebug) { // the address is asked of the kernel
		c.b.log.Debug("client connected", "client", s.id, "remote", c.nc.RemoteAddr(), "version", c.version)
	}
	return nil
}

// newClientID makes an id for a client that brings none. It is unique over all nodes.
func newClientID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return "auto-" + hex.EncodeToString(b[:])
}

// validConnect returns why a CONNECT can't be accepted, or nil.
func validConnect(pk packets.Packet) *packets.Code {
	cp := pk.Connect
	switch {
	case pk.ReservedBit != 0:
		return &packets.ErrProtocolViolationReservedBit
	case cp.PasswordFlag && !cp.UsernameFlag && pk.ProtocolVersion < 5:
		return &packets.ErrProtocolViolationFlagNoUsername
	case cp.WillQos > 2, !cp.WillFlag && cp.WillQos != 0:
		return &packets.ErrProtocolViolationQosOutOfRange
	case !cp.WillFlag && cp.WillRetain:
		return &packets.ErrProtocolViolationWillFlagSurplusRetain
	case cp.WillFlag && !publishable(cp.WillTopic):
		return &packets.ErrTopicNameInvalid
	case cp.ClientIdentifier == "" && !cp.Clean && pk.ProtocolVersion < 5:
		return &packets.ErrClientIdentifierNotValid
	case pk.Properties.AuthenticationMethod == "" && len(pk.Properties.AuthenticationData) > 0:
		return &packets.ErrProtocolViolation
	case pk.Properties.AuthenticationMethod != "":
		return &packets.ErrBadAuthenticationMethod
	}
	return nil
}

// refuse writes a CONNACK that says no.
func (c *conn) refuse(why packets.Code) error {
	reason := why.Code
	if c.version < 5 {
		if v3, ok := packets.V5CodesToV3[why]; ok {
			reason = v3.Code
		} else if reason = packets.Err3ServerUnavailable.Code; why.Code == packets.ErrProtocolViolation.Code {
			return why // a violation is answered by closing
		}
	}
	c.nc.Write(encode(nil, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connack}, ReasonCode: reason, Properties: reasonString(c, why)}, c.version))
	return why
}

// connack is the answer to a CONNECT that is accepted.
func (c *conn) connack(present bool, assigned string) packets.Packet {
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connack}, SessionPresent: present}
	if c.version == 5 {
		pk.Properties = packets.Properties{
			ReceiveMaximum: uint16(c.b.cfg.ReceiveMaximum), TopicAliasMaximum: aliasMax, MaximumPacketSize: MaxPacket, AssignedClientID: assigned,
		}
		if c.limitedAlive {
			pk.Properties.ServerKeepAlive, pk.Properties.ServerKeepAliveFlag = uint16(c.b.cfg.ServerKeepAlive/time.Second), true
		}
	}
	return pk
}

// attach makes c the connection of its client's session, here and in the whole cluster.
func (rg *registry) attach(c *conn, id string, pk packets.Packet, assigned string) (*session, *packets.Code) {
	s := rg.acquire(id)
	if s == nil {
		return nil, &packets.ErrServerUnavailable
	}
	defer s.connecting.Unlock()
	at := rg.b.clock.now()
	s.mu.Lock()
	epoch := s.stamp
	s.stamp = at
	s.mu.Unlock()
	clean := pk.Connect.Clean
	if assigned == "" {
		rg.b.takeovers.takeover(s, at, epoch, clean)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || s.stamp != at || rg.b.isClosed() {
		s.abandonConnectLocked()
		return nil, &packets.ErrServerBusy // it connects elsewhere at the same moment, or we are closing
	}
	s.stopTimersLocked()
	present := s.durable() && !clean
	if clean { // ends the old session, if there is one
		s.subs.unsubscribeAllLocked()
		s.passOnLocked()
		s.outbox.clearLocked()
	}
	s.will = nil // else the client is back before the delay is over
	was := s.durable()
	s.expiry, s.clean, s.fresh = expiry(pk), clean, false
	if was != s.durable() {
		s.subs.recountDurableLocked(was)
		s.outbox.storeLocked()
	}
	s.outbox.limit = inflightMax
	if r := pk.Properties.ReceiveMaximum; r > 0 && c.version == 5 {
		s.outbox.limit = min(inflightMax, int(r))
	}
	s.outbox.rewindLocked()
	s.inbox.acks.Clear()
	s.inbox.unacked = 0
	s.outbox.stalled, s.away = false, time.Time{}
	s.outbox.replies, s.outbox.acks, s.outbox.need, s.outbox.gated = encode(nil, c.connack(present, assigned), c.version), nil, 0, false
	s.outbox.inflight.All(func(f *inflightMessage) bool { // only those released are left
		s.outbox.replies = appendAck(s.outbox.replies, ack{kind: packets.Pubrel, id: f.id}, c.version)
		return true
	})
	c.mu.Lock()
	c.s = s
	c.mu.Unlock()
	if s.conn = c; c.will != nil {
		c.will.at = at
	}
	s.subs.setOnlineLocked(true)
	s.saveLocked()
	return s, nil
}

// abandonConnectLocked is for a CONNECT that comes to nothing. What was taken over for it stays.
func (s *session) abandonConnectLocked() {
	switch {
	case s.gone || !s.fresh:
	case !s.durable():
		s.endLocked()
	default:
		s.fresh, s.away = false, time.Now()
		s.saveLocked()
		s.startTimersLocked()
	}
}

// expiry is how long the session outlives its connection, in seconds.
func expiry(pk packets.Packet) uint32 {
	switch {
	case pk.ProtocolVersion == 5:
		return pk.Properties.SessionExpiryInterval
	case pk.Connect.Clean:
		return 0
	}
	return never
}

// setExpiry changes how long the session lives on, as a DISCONNECT may; not from nothing to something.
func (s *session) setExpiry(expiry uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.durable()
	if !was && expiry != 0 {
		return false
	}
	if s.expiry = expiry; was != s.durable() {
		s.subs.recountDurableLocked(was)
	}
	return true
}
