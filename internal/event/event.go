// Package event holds what happens in the server as a sequence of events, for hooks, the API and the
// embedding program: the types, the bus that hands them out, and the Tracker, which makes them of
// what sessions and streams report, so that each start has exactly one stop and comes before it.
package event

import (
	"slices"
	"strings"
	"time"

	"weir/internal/session"
)

// Event is one thing that happened. What it points to is shared by all who get it, and must not be
// changed.
type Event struct {
	// ID is a ULID: unique, and sorted as the events are.
	ID string `json:"id"`
	// Type is one of Types: "publish.start".
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	// Stream is the stream that it is about; nil if it is about none.
	Stream *Stream `json:"stream,omitempty"`
	// Session is the session that it is about; nil if it is about none.
	Session *Session `json:"session,omitempty"`
	// Data is what only this type has. Durations are in seconds, rates in bits per second.
	Data map[string]any `json:"data,omitempty"`
	// Paired says of the start or stop of a session that whoever was asked about it hears of its end by PublishReleased or
	// PlayReleased. It is in no JSON.
	Paired bool `json:"-"`
}

// Stream names a stream.
type Stream struct {
	// Path is the stream's public path: app/name.
	Path string `json:"path"`
	// Epoch tells one life of the stream from another: the time at which it came online, in
	// milliseconds since 1970. It is 0 if the stream has not been online.
	Epoch uint64 `json:"epoch,omitempty"`
}

// Session describes a session.
type Session struct {
	ID        string            `json:"id"`
	Protocol  string            `json:"protocol"`
	Role      string            `json:"role"`
	Remote    string            `json:"remote"`
	Via       []string          `json:"via,omitempty"` // trusted proxies, the nearest one last
	TLS       bool              `json:"tls"`
	UserAgent string            `json:"user_agent,omitempty"`
	Encoder   string            `json:"encoder,omitempty"` // what a publisher says it is
	User      string            `json:"user,omitempty"`
	KeyID     string            `json:"key_id,omitempty"`
	Label     string            `json:"label,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Shown is what the session showed when it came, nil unless a hook wants it. It may hold secrets: it is in no JSON
	// and no file.
	Shown *session.Shown `json:"-"`
}

// The types of events.
const (
	// PublishStart: a publisher's first media frame. Data: none.
	PublishStart = "publish.start"
	// PublishStop ends what PublishStart began. Data: reason, duration, bytes_received,
	// bytes_sent, frames. After a crash of the server only reason, which is "crash".
	PublishStop = "publish.stop"
	// PublishTakeover goes before the PublishStart of a publisher that took the stream over.
	// Data: previous, the id of the session that had it.
	PublishTakeover = "publish.takeover"
	// PublishRejected: a publisher that was refused or went before it sent media. Data: reason, text.
	PublishRejected = "publish.rejected"
	// PlayStart: a player begins to be sent the stream. Data: none.
	PlayStart = "play.start"
	// PlayStop ends what PlayStart began. Data: as of PublishStop, and skips.
	PlayStop = "play.stop"
	// Disconnect: a connection has ended about which the decision hook was asked when it connected. Data: app, reason,
	// duration, bytes_received, bytes_sent.
	Disconnect = "connection.stop"
	// StreamOnline: a stream's first media frame, for as long as it has a publisher or waits for the
	// return of one. Data: none.
	StreamOnline = "stream.online"
	// StreamOffline ends what StreamOnline began. Data: duration.
	StreamOffline = "stream.offline"
	// PublisherUnhealthy: something is wrong with what the publisher sends. Data: finding,
	// sentence, setting (of the encoder), track.
	PublisherUnhealthy = "publisher.unhealthy"
	// PublisherHealthy: nothing is wrong with it any more. Data: none.
	PublisherHealthy = "publisher.healthy"
	// PlayerSkipped: a player was too slow, and skipped to a newer key frame. Data: lag, bytes, skips.
	PlayerSkipped = "player.skipped"
	// SegmentDone: a segment of media is complete and can be fetched. Data: protocol, rendition, number, url and playlist
	// (from the server's root on), file (if it is on disk), begin, duration, size, discontinuous.
	SegmentDone = "segment.done"
	// PushStart: another server takes the stream. Data: target, service, origin, url, attempts.
	PushStart = "push.start"
	// PushStop ends what PushStart began. Data: as of PushStart without attempts; reason, duration,
	// bytes_sent, frames, skips.
	PushStop = "push.stop"
	// PushState: what a server is sent that takes the stream has changed. Data: as of PushStart without attempts; state (live; slate or
	// away while the publisher is).
	PushState = "push.state"
	// PushFailed: another server could not be sent the stream, or has refused it. It is told once for each
	// reason until the server takes the stream. Data: as of PushStart; state (retrying or refused),
	// reason, error, next_try.
	PushFailed = "push.failed"
	// LimitReached: a limit refused a peer. It is told once a minute for each limit. Data: limit,
	// the key of the configuration; max; refused, how many since it was told last.
	LimitReached = "limit.reached"
	// ServerStart: the server accepts peers. Data: version.
	ServerStart = "server.start"
	// ServerStop: the server has ended all sessions. Data: none.
	ServerStop = "server.stop"
	// ConfigReloaded: another configuration is in force. Data: changed, restart: lists of keys.
	ConfigReloaded = "config.reloaded"
	// PullState: what becomes of a stream that is fetched from elsewhere. Data: status (live, retrying, failed, absent, standby or
	// idle), by, source, session while it is live; after a failure reason, text and next_try. While it is live from another source
	// than the first: backup, and why the first one is not: reason, text.
	PullState = "pull.state"
	// RecordingStart: a recording has begun a file. Data: id, recording, file, dir, format.
	RecordingStart = "recording.start"
	// RecordingDone: a file of a recording is whole. Data: as of RecordingStart, and duration, bytes, start; of a file
	// that a crash left, which has no id, repaired.
	RecordingDone = "recording.done"
	// RecordingFailed: a recording lost frames, or a file of it ended before it was to: once until it goes well again. Data: as of
	// RecordingStart, and reason, text.
	RecordingFailed = "recording.failed"
	// UploadDone: a file of a recording is in the storage that it goes to. Data: id, recording, file, storage, object, bytes.
	UploadDone = "upload.done"
	// UploadFailed: an upload has failed three times in a row; it is tried until it succeeds. Data: id, recording, file, error,
	// failures.
	UploadFailed = "upload.failed"
	// HookDropped: a hook's queue was full. Data: hook, dropped: how many since it was told last.
	HookDropped = "hook.dropped"
)

// Types returns all types of events.
func Types() []string {
	return []string{
		PublishStart, PublishStop, PublishTakeover, PublishRejected, PlayStart, PlayStop, Disconnect, StreamOnline, StreamOffline,
		PublisherUnhealthy, PublisherHealthy, PlayerSkipped, PushStart, PushStop, PushState, PushFailed, SegmentDone, LimitReached, ServerStart, ServerStop, ConfigReloaded, PullState, RecordingStart, RecordingDone, RecordingFailed,
		UploadDone, UploadFailed, HookDropped,
	}
}

// stops are the types that begin something, with those that end it.
var stops = map[string]string{PublishStart: PublishStop, PlayStart: PlayStop, StreamOnline: StreamOffline, PushStart: PushStop}

// StopOf returns the type that ends what events of type start begin; "" if start begins nothing.
func StopOf(start string) string { return stops[start] }

// StartOf returns the type that begins what events of type stop end; "" if stop ends nothing.
func StartOf(stop string) string {
	for start, s := range stops {
		if s == stop {
			return start
		}
	}
	return ""
}

// Subject returns what tells the pair of a start and a stop from others of the same types: the
// session's id, or the stream's path for the pairs of streams, and for those of pushes the name of
// the target, too.
func (e *Event) Subject() string {
	target, _ := e.Data["target"].(string)
	switch {
	case e.Stream != nil && target != "":
		return e.Stream.Path + " " + target
	case e.Session != nil:
		return e.Session.ID
	case e.Stream != nil:
		return e.Stream.Path
	}
	return ""
}

// Matches reports whether one of patterns names the type: itself, "publish.*" or "*". No
// patterns match every type. A type that is none of the Types is matched by itself alone.
func Matches(patterns []string, typ string) bool {
	if ToldAs(typ) != "" {
		return slices.Contains(patterns, typ)
	}
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		if before, ok := strings.CutSuffix(p, "*"); ok {
			return (before == "" || strings.HasSuffix(before, ".")) && strings.HasPrefix(typ, before)
		}
		return p == typ
	})
}
