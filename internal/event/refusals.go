package event

import (
	"net/netip"
	"time"

	"weir/internal/session"
)

const (
	// refusalsOfOne and refusalsOfAll are how many PublishRejected a second one address causes at most, and all of them
	// together: anybody can be refused as often as he likes, under any path.
	refusalsOfOne = 10
	refusalsOfAll = 200
)

// refusals bounds how often PublishRejected is told. Loopback counts as one address; peers within the program have none,
// and are always told of.
type refusals struct {
	second time.Time
	told   map[netip.Addr]int // in this second
	all    int
	left   int // left out since the last that was told
}

// admit reports whether a refusal of a peer at remote is told at a time, and then how many were left out before it.
func (r *refusals) admit(remote string, at time.Time) (leftOut int, ok bool) {
	if second := at.Truncate(time.Second); !second.Equal(r.second) {
		r.second, r.told, r.all = second, map[netip.Addr]int{}, 0
	}
	who, err := netip.ParseAddrPort(remote)
	if err != nil {
		return 0, true
	}
	addr, _ := session.CountedAddr(who.Addr())
	if r.all >= refusalsOfAll || r.told[addr] >= refusalsOfOne {
		r.left++
		return 0, false
	}
	r.told[addr]++
	r.all++
	leftOut, r.left = r.left, 0
	return leftOut, true
}
