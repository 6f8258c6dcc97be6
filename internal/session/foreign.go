package session

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// Other servers have identifiers of other forms than ours. What is asked and told in their formats, and what is shown in
// them, takes these, so that one thing has one identifier everywhere.

// Number returns the number that stands for a session's id where clients have numbers, as in nginx-rtmp: of 31 bits,
// as integer columns of databases take, and never 0.
func Number(id string) string { return strconv.FormatUint(uint64(number(id)), 10) }

// VID returns the identifier that stands for a stream's path, or for a server's id, as SRS makes them.
func VID(of string) string { return "vid-" + strconv.FormatUint(uint64(number(of)), 36) }

// Service returns the identifier that stands for one run of a server, as SRS makes them.
func Service(server string) string { return strconv.FormatUint(uint64(number(server)), 36) }

func number(id string) uint32 {
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint32(sum[:4])&(1<<31-1) | 1
}
