package stream

import "time"

const (
	// meterWindow is the time over which a bitrate is measured, in slots.
	meterWindow = 2 * time.Second
	meterSlots  = 8
	meterSlot   = meterWindow / meterSlots
	// meterMin is the least time by which the bitrate of a young stream is divided.
	meterMin = 500 * time.Millisecond
)

// meter measures a bitrate over the last two seconds, or since it was begun.
type meter struct {
	since time.Duration
	slot  int64 // the number of the newest slot
	bytes [meterSlots]int64
}

// begin forgets everything before now.
func (m *meter) begin(now time.Duration) {
	*m = meter{since: now, slot: int64(now / meterSlot)}
}

// add counts bytes that came now.
func (m *meter) add(now time.Duration, bytes int64) {
	m.advance(now)
	m.bytes[m.slot%meterSlots] += bytes
}

// advance makes the slot of now the newest.
func (m *meter) advance(now time.Duration) {
	slot := int64(now / meterSlot)
	for range min(slot-m.slot, meterSlots) {
		m.slot++
		m.bytes[m.slot%meterSlots] = 0
	}
	m.slot = max(m.slot, slot)
}

// rate returns bits per second.
func (m *meter) rate(now time.Duration) int64 {
	m.advance(now)
	sum := int64(0)
	for _, n := range m.bytes {
		sum += n
	}
	full := meterWindow - meterSlot + now%meterSlot
	return sum * 8 * int64(time.Second) / int64(max(min(full, now-m.since), meterMin))
}
