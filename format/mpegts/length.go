package mpegts

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"time"
)

const (
	// lengthLooks is in how many places Length looks into a file: less than half a turn of the clock is between two, in files of up to 17 days.
	lengthLooks = 32
	// edgeRead is how much it reads at the beginning and at the end, where the pictures of a high bit rate and the sound between them must be
	// found, and lookRead in the other places.
	edgeRead = 8192 * PacketSize
	lookRead = 1024 * PacketSize
	// longestStep is how long the last frame of a stream lasts at most.
	longestStep = time.Second
)

// Length returns for how long a file of so many bytes is shown: from the earliest time of presentation at its beginning to the latest at its end, with the
// last frame. It reads only a part of the file; 0 is returned if there are no times in it. It fails with the error of r.
func Length(r io.ReaderAt, size int64) (time.Duration, error) {
	var clock unwrapper
	begin, end := int64(noTime), int64(noTime)
	buf := make([]byte, min(edgeRead, size))
	for i := range int64(lengthLooks) {
		b, at := buf, int64(0)
		switch i {
		case 0:
		case lengthLooks - 1:
			at = size - int64(len(b))
			at -= at % PacketSize
		default:
			b, at = buf[:min(lookRead, size)], size/lengthLooks*i
			at -= at % PacketSize
		}
		n, err := r.ReadAt(b[:min(int64(len(b)), size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for _, list := range shownIn(b[:n], &clock) {
			slices.Sort(list)
			if i == 0 && (begin == noTime || list[0] < begin) {
				begin = list[0]
			}
			last := list[len(list)-1]
			if n := len(list); n > 1 {
				last += min(list[n-1]-list[n-2], ticks(longestStep))
			}
			end = max(end, last)
		}
	}
	if begin == noTime {
		return 0, nil
	}
	return fromTicks(end - begin), nil
}

// shownIn returns the times of presentation in packets, for each stream.
func shownIn(b []byte, clock *unwrapper) map[uint16][]int64 {
	found := map[uint16][]int64{}
	for len(b) >= PacketSize {
		if b[0] != syncByte {
			i := bytes.IndexByte(b, syncByte)
			if i < 0 {
				break
			}
			b = b[i:]
			continue
		}
		p, err := parsePacket(b)
		b = b[PacketSize:]
		if err != nil || !p.start || p.pid == nullPID {
			continue
		}
		if h, ok, err := parsePESHeader(p.payload); err == nil && ok && h.pts != noTime {
			found[p.pid] = append(found[p.pid], clock.unwrap(h.pts))
		}
	}
	return found
}
