package archive

import (
	"cmp"
	"slices"
	"time"

	"weir/internal/record"
)

// joint is by how much the end of a file and the beginning of the next one of its take may differ: file times are
// rounded, and the last frame's duration is a guess.
const joint = 100 * time.Millisecond

// Why something is missing between two spans.
const (
	GapOffline = "offline" // nothing was recorded
	GapMissing = "missing" // what was recorded is gone
	GapDamaged = "damaged" // what was recorded cannot be read
	GapSlow    = record.MissingSlow
	GapFailed  = record.MissingFailed
)

// Part is a file and what of it lies in a range that was asked for.
type Part struct {
	Row
	// From and To are when it begins and ends. Of two files that follow one another the first ends where the second begins.
	From, To time.Time
}

// Span is time that was recorded without a gap, and can be played in one piece.
type Span struct {
	Stream, Recording string
	From, To          time.Time
	Codecs, Coding    string
	Bytes             int64 // of the files, whole
	Parts             []Part
}

// Gap is time between two spans of a recording.
type Gap struct {
	Stream, Recording string
	From, To          time.Time
	Reason            string
}

// cut returns what of files, in the order of their beginnings, lies from one time to another. Of a recording's
// files that overlap the later one ends the earlier.
func cut(rows []Row, from, to time.Time) []Part {
	var parts []Part
	for i := range rows {
		r := &rows[i]
		p := Part{*r, r.Start, r.End()}
		if next := nextOf(rows, i); next != nil && (p.To.After(next.Start) || r.Take == next.Take && next.Start.Sub(p.To) <= joint) {
			p.To = next.Start
		}
		if p.From.Before(from) {
			p.From = from
		}
		if p.To.After(to) {
			p.To = to
		}
		if p.From.Before(p.To) {
			parts = append(parts, p)
		}
	}
	return parts
}

// nextOf returns the file that follows a file in its recording; nil if there is none.
func nextOf(rows []Row, i int) *Row {
	for k := i + 1; k < len(rows); k++ {
		if rows[k].Recording == rows[i].Recording && rows[k].Stream == rows[i].Stream && rows[k].Start.After(rows[i].Start) && rows[k].State != Damaged {
			return &rows[k]
		}
	}
	return nil
}

// spansOf joins parts that follow one another, and names what is missing between those of one recording.
func spansOf(parts []Part) (spans []Span, gaps []Gap) {
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b Part) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Recording, b.Recording), a.From.Compare(b.From))
	})
	var damaged []Part
	for i := range parts {
		p := &parts[i]
		if p.State == Damaged {
			damaged = append(damaged, *p)
			continue
		}
		if n := len(spans); n > 0 && spans[n-1].Stream == p.Stream && spans[n-1].Recording == p.Recording {
			last := &spans[n-1]
			if last.To.Equal(p.From) && last.Codecs == p.Codecs && last.Coding == p.Coding {
				last.To, last.Bytes, last.Parts = p.To, last.Bytes+p.Bytes, append(last.Parts, *p)
				continue
			}
			if last.To.Before(p.From) {
				gaps = append(gaps, gapBetween(last, p, damaged))
			}
		}
		spans = append(spans, Span{p.Stream, p.Recording, p.From, p.To, p.Codecs, p.Coding, p.Bytes, []Part{*p}})
	}
	return spans, gaps
}

// gapBetween says what is missing between a span and the next part.
func gapBetween(last *Span, next *Part, damaged []Part) Gap {
	g := Gap{last.Stream, last.Recording, last.To, next.From, GapOffline}
	switch {
	case next.Missing != "":
		g.Reason = next.Missing
	case last.Parts[len(last.Parts)-1].Take == next.Take:
		g.Reason = GapMissing
	}
	for i := range damaged {
		if d := &damaged[i]; d.Recording == g.Recording && d.Stream == g.Stream && d.From.Before(g.To) && g.From.Before(d.To) {
			g.Reason = GapDamaged
		}
	}
	return g
}

// without returns spans with a file left out, which must be the last one of its span.
func without(spans []Span, id string) []Span {
	for i := range spans {
		s := &spans[i]
		last := len(s.Parts) - 1
		if s.Parts[last].ID != id {
			continue
		}
		if last == 0 {
			return slices.Delete(spans, i, i+1)
		}
		s.Bytes -= s.Parts[last].Bytes
		s.Parts = s.Parts[:last]
		s.To = s.Parts[last-1].To
		break
	}
	return spans
}
