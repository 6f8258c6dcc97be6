package protocoltest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"sync"
)

// Log keeps what was logged.
type Log struct {
	mu sync.Mutex // guards below
	b  bytes.Buffer
}

func (l *Log) handler() slog.Handler {
	return slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})
}

// Write implements io.Writer.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// String returns all of it.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Lines returns the lines with a message, as their attributes.
func (l *Log) Lines(message string) (lines []map[string]any) {
	for line := range bytes.Lines([]byte(l.String())) {
		var m map[string]any
		if json.Unmarshal(line, &m) == nil && m[slog.MessageKey] == message {
			lines = append(lines, m)
		}
	}
	return lines
}

// Metrics counts what protocols count by themselves.
type Metrics struct {
	mu       sync.Mutex // guards below
	dropped  map[string]int
	failed   map[string]int
	rejected map[string]int
}

func (m *Metrics) count(of *map[string]int, what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if *of == nil {
		*of = map[string]int{}
	}
	(*of)[what]++
}

func (m *Metrics) get(of *map[string]int, what string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return (*of)[what]
}

// Dropped implements peer.Metrics.
func (m *Metrics) Dropped(_, reason string) { m.count(&m.dropped, reason) }

// HandshakeFailed implements peer.Metrics.
func (m *Metrics) HandshakeFailed(_, reason string) { m.count(&m.failed, reason) }

// Rejected implements peer.Metrics.
func (m *Metrics) Rejected(reason string) { m.count(&m.rejected, reason) }

// DroppedFor returns how many messages were dropped for a reason.
func (m *Metrics) DroppedFor(reason string) int { return m.get(&m.dropped, reason) }

// RejectedFor returns how many peers were refused for a reason.
func (m *Metrics) RejectedFor(reason string) int { return m.get(&m.rejected, reason) }

// HandshakesFailed returns how many connections never became sessions, whatever the reason.
func (m *Metrics) HandshakesFailed() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.failed {
		n += k
	}
	return n
}
