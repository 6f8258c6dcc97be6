package bench

import (
	"math"
	"time"
)

// ServerReport is what the measured server process used. It stands in a report only if
// the configuration named the process.
type ServerReport struct {
	CPUSeconds    float64 `json:"cpu_seconds"`     // within the window
	CPUShare      float64 `json:"cpu_share"`       // of one processor; 1 is all of it
	CPUPerGB      float64 `json:"cpu_s_per_gb"`    // seconds per 10^9 bytes delivered, or received by a server without players
	MemoryBefore  int64   `json:"memory_before"`   // bytes of RSS before the first publisher came, or once each stream had a player
	MemoryAfter   int64   `json:"memory_after"`    // bytes of RSS at the window's end
	MemoryPerPeer float64 `json:"memory_per_peer"` // the difference, bytes for each publisher, or for each further player
}

// watch follows the process of the measured server; nil follows none.
type watch struct {
	pid    int
	memory int64
	peers  int // that were there when memory was taken
	cpu    time.Duration
	report ServerReport
}

// newWatch returns a watch of process pid, 0 for none, and takes its memory.
func newWatch(pid int) (*watch, error) {
	if pid == 0 {
		return nil, nil
	}
	m, err := processMemory(pid)
	return &watch{pid: pid, memory: m}, err
}

// rest takes the memory again, now that peers are there.
func (w *watch) rest(peers int) (err error) {
	w.memory, err = processMemory(w.pid)
	w.peers = peers
	return err
}

// begin is called as the window begins.
func (w *watch) begin() (err error) {
	if w != nil {
		w.cpu, err = processTime(w.pid)
	}
	return err
}

// end is called as the window ends, which lasted took, with what went through it.
func (w *watch) end(took time.Duration, bytes int64, peers int) error {
	if w == nil {
		return nil
	}
	cpu, err := processTime(w.pid)
	if err != nil {
		return err
	}
	m, err := processMemory(w.pid)
	if err != nil {
		return err
	}
	used := (cpu - w.cpu).Seconds()
	w.report = ServerReport{
		CPUSeconds:    round(used, 4),
		CPUShare:      round(used/took.Seconds(), 4),
		MemoryBefore:  w.memory,
		MemoryAfter:   m,
		MemoryPerPeer: round(float64(m-w.memory)/float64(max(peers-w.peers, 1)), 0),
	}
	if bytes > 0 {
		w.report.CPUPerGB = round(used/(float64(bytes)/1e9), 4)
	}
	return nil
}

// result returns the report; nil for a watch of none.
func (w *watch) result() *ServerReport {
	if w == nil {
		return nil
	}
	return &w.report
}

// round keeps n digits behind the point.
func round(v float64, n int) float64 {
	p := math.Pow10(n)
	return math.Round(v*p) / p
}
