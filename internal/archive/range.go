package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxFiles bounds the files of one answer that plays a range.
const maxFiles = 4096

// errMany is an ErrQuery.
var errMany = fmt.Errorf("%w: there are more than %d files in it; ask for less at a time", ErrQuery, maxFiles)

// Range returns what a recording of a stream has from one time to another, in order. recording "" takes the one that has
// most of it. It fails with ErrNotFound if there is nothing, ErrQuery or ErrIndexing.
func (a *Archive) Range(ctx context.Context, stream, recording string, from, to time.Time) ([]Part, error) {
	if !from.Before(to) {
		return nil, fmt.Errorf("%w: to must be later than from", ErrQuery)
	}
	var rows []Row
	err := a.use(true, func(x *index) (err error) {
		rows, err = x.within(ctx, stream, recording, from, to, nil, maxFiles+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(rows) > maxFiles {
		return nil, errMany
	}
	a.lengthen(rows)
	parts := cut(rows, from, to)
	if recording == "" {
		recording = fullest(parts)
	}
	parts = slices.DeleteFunc(parts, func(p Part) bool { return p.Recording != recording })
	if !slices.ContainsFunc(parts, func(p Part) bool { return p.State != Damaged }) {
		return nil, fmt.Errorf("%w: nothing of this stream was recorded from %s to %s", ErrNotFound, stamp(from), stamp(to))
	}
	return parts, nil
}

// Recent is Range, and of a range with too many files returns the newest.
func (a *Archive) Recent(ctx context.Context, stream, recording string, from, to time.Time) ([]Part, error) {
	parts, err := a.Range(ctx, stream, recording, from, to)
	if !errors.Is(err, errMany) {
		return parts, err
	}
	const spare = 64 // files that overlap with these
	if err := a.use(true, func(x *index) (err error) {
		from, err = x.start(ctx, stream, recording, to, maxFiles-spare)
		return err
	}); err != nil {
		return nil, err
	}
	return a.Range(ctx, stream, recording, from, to)
}

// inTurn looks something up in who's turn.
func (a *Archive) inTurn(ctx context.Context, who string, look func() ([]Part, error)) ([]Part, error) {
	end, err := a.making.begin(ctx, who)
	if err != nil {
		return nil, err
	}
	defer end()
	return look()
}

// fullest returns the recording that has the most time in MP4, which alone can be played; the first by name of several.
func fullest(parts []Part) string {
	best, names := map[string]time.Duration{}, []string{}
	for i := range parts {
		p := &parts[i]
		if _, ok := best[p.Recording]; !ok {
			names = append(names, p.Recording)
		}
		d := time.Duration(0)
		if p.Format == formatMP4 && p.State != Damaged {
			d = p.To.Sub(p.From)
		}
		best[p.Recording] += d
	}
	slices.Sort(names)
	name := ""
	for i, n := range names {
		if i == 0 || best[n] > best[name] {
			name = n
		}
	}
	return name
}

// formatMP4 is the format of files that ranges can be played of.
const formatMP4 = "mp4"

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
