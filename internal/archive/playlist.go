package archive

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/format/m3u8"
	"weir/format/mp4"
)

// Lengths of segments: fragments are joined to segments of segmentLeast and more that begin with a key frame; where
// there is none, a segment ends after segmentMost all the same.
const (
	segmentLeast = 4 * time.Second
	segmentMost  = 10 * time.Second
	// eventTarget is the target duration of playlists that grow, which must not change: segmentMost, and a fragment more.
	eventTarget = 12
)

// maxSegments bounds a playlist.
const maxSegments = 50000

// clipping is a range of a file's bytes that is a segment.
type clipping struct {
	time, duration time.Duration // on the file's clock
	offset, size   int64
}

// segments joins fragments to segments. Those that may still grow are left out unless the file is whole.
func segments(list []mp4.Fragment, whole bool) []clipping {
	var out []clipping
	for i := 0; i < len(list); {
		first, k := &list[i], i+1
		for k < len(list) {
			length := list[k].Time - first.Time
			if list[k].Key && length >= segmentLeast || length >= segmentMost {
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

// write makes the playlist of parts. With event it may grow, until it is ended.
func (p *Player) write(ctx context.Context, parts []Part, from time.Time, query string, event, ended bool) (*m3u8.Media, error) {
	m := &m3u8.Media{Version: 7, Type: "VOD", EndList: ended}
	if event {
		m.Type = "EVENT"
		m.TargetDuration = eventTarget
	}
	var init []byte
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
		list := segments(needed(x.Fragments, part.From.Sub(part.Start), part.To.Sub(part.Start)), part.State != Recording || !event)
		if len(m.Segments)+len(list) > maxSegments {
			return nil, fmt.Errorf("%w: it has more than %d segments; ask for less at a time", ErrQuery, maxSegments)
		}
		for k, c := range list {
			s := m3u8.Segment{Duration: c.duration.Round(time.Microsecond), URI: mediaPrefix + part.ID + mediaSuffix + query, Range: m3u8.ByteRange{Length: c.size, Offset: c.offset}}
			if k > 0 { // it follows the one before
				s.Range.Offset = -1
				if c.offset != list[k-1].offset+list[k-1].size {
					s.Range.Offset = c.offset
				}
			} else {
				s.Discontinuity = len(m.Segments) > 0
				s.ProgramDateTime = part.Start.Add(c.time)
				if len(m.Segments) == 0 || string(init) != string(x.Init) {
					init = x.Init
					s.Map = &m3u8.Map{URI: mediaPrefix + part.ID + initSuffix + query}
				}
				if late := from.Sub(s.ProgramDateTime); len(m.Segments) == 0 && late > 0 && late < c.duration+segmentMost {
					m.Start = &m3u8.Start{Offset: late, Precise: true}
				}
			}
			if !event {
				m.TargetDuration = max(m.TargetDuration, int((c.duration+time.Second/2)/time.Second))
			}
			m.Segments = append(m.Segments, s)
		}
	}
	m.TargetDuration = max(m.TargetDuration, 1)
	if event && !ended {
		m.ServerControl = &m3u8.ServerControl{CanSkipUntil: 6 * eventTarget * time.Second, HoldBack: 3 * eventTarget * time.Second}
	}
	return m, nil
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
