// Package g711 knows what a server must of G.711 (Rec. ITU-T G.711), which describes itself
// by being always the same: a byte a sample, 8000 a second, in FLV one channel. It does not
// decode.
package g711

// What all of G.711 is.
const (
	SampleRate = 8000 // Hz
	Channels   = 1
)

// Samples returns the number of samples of a packet.
func Samples(payload []byte) int { return len(payload) }
