package archive

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/format/m3u8"
	"weir/format/mp4"
)

// Lengths of segments: fragments are joined to segments of segmentLeast and more that begin with a key frame; where
// there is none, a segment ends all the same before it gets longer than it may be.
const (
	segmentLeast = 4 * time.Second
	segmentMost  = 10 * time.Second // of playlists that do not grow
	// nearly is by how much a segment may be too short: the times of key frames are rounded.
	nearly = 50 * time.Millisecond
)

// The target duration of a playlist that grows, in seconds, must not change, whatever key frames will come. It is chosen
// for those that have come (targetOf).
const (
	targetLeast = 6
	targetMost  = 12
	// targetLook is how many fragments of the newest file are looked at for it.
	targetLook = 120
)

// targetOf returns the target duration that is enough for segments that begin with key frames as those of a file do.
func targetOf(list []mp4.Fragment) int {
	longest, last := time.Duration(0), -1
	for i := max(0, len(list)-targetLook); i < len(list); i++ {
		if !list[i].Key {
			continue
		}
		if last >= 0 {
			longest = max(longest, list[i].Time-list[last].Time)
		}
		last = i
	}
	if longest == 0 {
		return targetMost
	}
	return max(targetLeast, min(targetMost, int((segmentLeast+longest).Round(time.Second)/time.Second)))
}

// longestFor returns how long a segment may be so that its duration, rounded, is no more than a target.
func longestFor(target int) time.Duration {
	return time.Duration(target)*time.Second + 400*time.Millisecond
}

// maxSegments bounds a playlist.
const maxSegments = 50000

// before is the time of a playlist's media at which its range begins: there are pictures before it, whose times must not be negative. The clock goes on from
// file to file, since ffmpeg leaves out of a file what it takes for older than the end of the file before, discontinuity or not.
const before = time.Minute

// clipping is a range of a file's bytes that is a segment.
type clipping struct {
	time, duration time.Duration // on the file's clock
	offset, size   int64
}

// segments joins fragments to segments, which are not longer than most unless a fragment is. Those that may still grow
// are left out unless the file is whole.
func segments(list []mp4.Fragment, whole bool, most time.Duration) []clipping {
	var out []clipping
	for i := 0; i < len(list); {
		first, k := &list[i], i+1
		for k < len(list) {
			length := list[k].Time - first.Time
			if list[k].Key && length >= segmentLeast-nearly || length+list[k].Duration > most {
				break
			}
			k++
		}
		if k == len(list) && !whole {
			break
		}
		last := &list[k-1]
		out = append(out, clipping{first.Time, last.Time + last.Duration - first.Time, first.Offset, last.Offset + last.Size - first.Offset})
		i = k
	}
	return out
}

// needed returns the fragments that are needed to show a file from one time to another.
func needed(list []mp4.Fragment, from, to time.Duration) []mp4.Fragment {
	end, _ := slices.BinarySearchFunc(list, to, func(f mp4.Fragment, t time.Duration) int { return compare(f.Time, t) })
	begin, exact := slices.BinarySearchFunc(list, from, func(f mp4.Fragment, t time.Duration) int { return compare(f.Time, t) })
	if !exact {
		begin--
	}
	for begin = max(begin, 0); begin > 0 && !list[begin].Key; begin-- {
	}
	return list[begin:max(begin, end)]
}

func compare(a, b time.Duration) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// names of what a playlist refers to.
const (
	playlistName = "recorded.m3u8"
	mediaPrefix  = "rec-"
	initSuffix   = "-init.mp4"
	mediaSuffix  = ".mp4"
	idLength     = 26
)

// isMedia reports whether a name is that of a recorded file or of its initialization.
func isMedia(name string) bool {
	_, _, ok := parseMedia(name)
	return ok
}

// parseMedia returns the id of the file that a name is of.
func parseMedia(name string) (id string, init, ok bool) {
	rest, ok := strings.CutPrefix(name, mediaPrefix)
	if !ok || len(rest) < idLength {
		return "", false, false
	}
	id, rest = rest[:idLength], rest[idLength:]
	if strings.Trim(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "" {
		return "", false, false
	}
	return id, rest == initSuffix, rest == initSuffix || rest == mediaSuffix
}

// written is a playlist, and what else is known of it.
type written struct {
	*m3u8.Media
	marks   []mark
	offsets []int64 // of the segments, in their files
}

// mark is where a file begins in a playlist.
type mark struct {
	date time.Time
	at   time.Duration // from the beginning of the playlist
}

// write makes the playlist of parts that key asks for. One that grows ends with what can be added to no more.
func (p *Player) write(ctx context.Context, parts []Part, key *listKey, ended bool) (*written, error) {
	m := &m3u8.Media{Version: 7, Type: "VOD", EndList: ended}
	w := &written{Media: m}
	most, query := segmentMost, "?l="+key.link
	if key.event {
		m.Type, m.TargetDuration = "EVENT", key.target
		most = longestFor(key.target)
	}
	length := time.Duration(0)
	for i := range parts {
		part := &parts[i]
		if part.State == Damaged {
			continue
		}
		if part.Format != formatMP4 {
			return nil, ErrFormat
		}
		x, err := p.archive.fragments(ctx, &part.Row)
		if err != nil {
			p.archive.log.Warn("a recording cannot be read, and is left out of a playlist", "stream", part.Stream, "file", part.Name, "err", err)
			continue
		}
		grows := key.event && part.State == Recording
		list := segments(needed(x.Fragments, part.From.Sub(x.Start), part.To.Sub(x.Start)), !grows, most)
		if len(m.Segments)+len(list) > maxSegments {
			return nil, fmt.Errorf("%w: it has more than %d segments; ask for less at a time", ErrQuery, maxSegments)
		}
		uri := mediaPrefix + part.ID + mediaSuffix + query
		if part.State != Remote && len(list) > 0 { // what players get from the storage is as it is
			uri += "&t=" + strconv.FormatInt(max(x.Start.Sub(key.from)+before, -list[0].time).Milliseconds(), 10)
		}
		for k, c := range list {
			s := m3u8.Segment{Duration: c.duration.Round(time.Microsecond), URI: uri, Range: m3u8.ByteRange{Length: c.size, Offset: c.offset}}
			if k > 0 { // it follows the one before
				s.Range.Offset = -1
				if c.offset != list[k-1].offset+list[k-1].size {
					s.Range.Offset = c.offset
				}
			} else {
				s.Discontinuity = len(m.Segments) > 0
				s.ProgramDateTime = x.Start.Add(c.time)
				// Its length is told because ffmpeg waits without end for more of an initialization on a connection on which it has
				// asked for a range before.
				s.Map = &m3u8.Map{URI: mediaPrefix + part.ID + initSuffix + query, Range: m3u8.ByteRange{Length: int64(len(x.Init))}}
				w.marks = append(w.marks, mark{s.ProgramDateTime, length})
			}
			if !key.event {
				m.TargetDuration = max(m.TargetDuration, int((c.duration+time.Second/2)/time.Second))
			}
			m.Segments, w.offsets = append(m.Segments, s), append(w.offsets, c.offset)
			length += s.Duration
		}
		if grows { // what follows it comes after its end
			break
		}
	}
	m.TargetDuration = max(m.TargetDuration, 1)
	switch {
	case !key.event && len(w.marks) > 0:
		m.Start = startAt(w.marks, key.from, length)
	case key.event && !ended:
		target := time.Duration(key.target) * time.Second
		m.ServerControl = &m3u8.ServerControl{CanSkipUntil: 6 * target, HoldBack: 3 * target}
	}
	return w, nil
}

// startAt tells players to begin with a date, or with what follows it if nothing was recorded then; nil if that is the
// beginning. length is the playlist's.
func startAt(marks []mark, date time.Time, length time.Duration) *m3u8.Start {
	offset := time.Duration(0)
	for i, k := range marks {
		if k.date.After(date) {
			break
		}
		end := length
		if i+1 < len(marks) {
			end = marks[i+1].at
		}
		offset = min(k.at+date.Sub(k.date), end)
	}
	if offset == 0 {
		return nil
	}
	return &m3u8.Start{Offset: offset, Precise: true}
}

// delta returns the update of a playlist for those who have its beginning; false if there is nothing to leave out.
func delta(m *m3u8.Media) (*m3u8.Media, bool) {
	d, ok := m.Delta(false)
	if !ok || len(d.Segments) == 0 {
		return m, false
	}
	// The segment before the first one is not in it.
	if first := d.Segments[0]; first.Range.Offset < 0 {
		i := len(m.Segments) - len(d.Segments)
		offset := int64(0)
		for k := i - 1; k >= 0; k-- {
			offset += m.Segments[k].Range.Length
			if m.Segments[k].Range.Offset >= 0 {
				offset += m.Segments[k].Range.Offset
				break
			}
		}
		first.Range.Offset = offset
		d.Segments = append([]m3u8.Segment{first}, d.Segments[1:]...)
	}
	return d, true
}

// bandwidth returns the bit rate of the file that has the highest, in bits per second.
func bandwidth(parts []Part) int {
	most := 1
	for i := range parts {
		if p := &parts[i]; p.Duration > 0 {
			most = max(most, int(float64(p.Bytes)*8/p.Duration.Seconds()))
		}
	}
	return most
}

// codecs returns what all parts are encoded in; "" if they differ.
func codecs(parts []Part) string {
	name := ""
	for i := range parts {
		switch p := &parts[i]; {
		case p.State == Damaged:
		case name == "":
			name = p.Codecs
		case name != p.Codecs:
			return ""
		}
	}
	return name
}
