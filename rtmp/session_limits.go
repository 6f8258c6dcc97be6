package rtmp

import "time"

// Limits bounds what one connection may do. A field that is zero takes its default;
// the bounds of chunks, messages and AMF values are fixed (8 MiB of media, 64 KiB of
// command, 16 MiB of unfinished messages, 64 chunk streams, AMF depth 32).
type Limits struct {
	// BytesBeforeConnect is what may be received until connect has been accepted,
	// handshake included. Default 256 KiB.
	BytesBeforeConnect int
	// Streams is the message streams of a connection. Default 16.
	Streams int
	// CommandRate is the commands a second, CommandBurst how many may come at once.
	// More close the connection. Default 50 and 200.
	CommandRate, CommandBurst int
	// DataRate is the data messages a second, twice as many at once; more are
	// dropped. Default 200.
	DataRate int
	// DataBytes is the size of a data message; longer ones are dropped. Default 64 KiB.
	DataBytes int
	// StrayMessages and StrayBytes are the media and data that are dropped while
	// nothing is published. More close the connection. Default 100 and 1 MiB.
	StrayMessages, StrayBytes int
}

// withDefaults returns l with the zero fields filled in.
func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.BytesBeforeConnect, 256<<10)
	def(&l.Streams, 16)
	def(&l.CommandRate, 50)
	def(&l.CommandBurst, 200)
	def(&l.DataRate, 200)
	def(&l.DataBytes, 64<<10)
	def(&l.StrayMessages, 100)
	def(&l.StrayBytes, 1<<20)
	return l
}

// bucket is a token bucket. Its zero value is full.
type bucket struct {
	last  time.Time
	spent float64 // tokens taken and not yet refilled
}

// take takes one token and reports whether there was one. The bucket holds up to burst tokens and
// gains rate a second.
func (b *bucket) take(rate, burst int) bool {
	now := time.Now()
	b.spent = max(0, b.spent-now.Sub(b.last).Seconds()*float64(rate))
	b.last = now
	if b.spent+1 > float64(burst) {
		return false
	}
	b.spent++
	return true
}
