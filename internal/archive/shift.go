package archive

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/format/m3u8"
)

// Bounds of time shift.
const (
	// maxShift is how far from its beginning a playlist that grows goes on at most.
	maxShift = 24 * time.Hour
	// shiftGrid is what the beginnings of such playlists are multiples of: viewers who go back at about the same time share one.
	shiftGrid = 10 * time.Second
	// firstTime is how long a viewer waits for the first segment of a recording that has just begun, firstLook how often
	// it is looked for, and maxWaiting how many viewers may wait.
	firstTime  = 15 * time.Second
	firstLook  = 500 * time.Millisecond
	maxWaiting = 256
)

// shift finds out which growing playlist a query asks for, which it notes in want, what there is of it, from when on, and where players
// are to begin.
func (p *Player) shift(ctx context.Context, who string, q url.Values, now time.Time, want *listKey) ([]Part, time.Time, *m3u8.Start, error) {
	begin, err := moment(q, "start", now)
	if err == nil && !begin.Before(now) {
		err = fmt.Errorf("%w: start is in the future", ErrQuery)
	}
	if err != nil {
		return nil, begin, nil, err
	}
	begin = begin.Truncate(time.Millisecond)
	want.event, want.from = true, begin.UTC().Truncate(shiftGrid)
	waits := false
	for end := now.Add(firstTime); ; {
		parts, e, err := p.shifted(ctx, who, want, begin)
		if err == nil {
			return parts, begin, e.startAt(begin), nil
		}
		grows := len(parts) > 0 && parts[len(parts)-1].State == Recording || p.archive.begins(ctx, want.stream)
		if !errors.Is(err, ErrNotFound) || !grows || !time.Now().Before(end) {
			return nil, begin, nil, err
		}
		if !waits {
			if waits = p.waiting.Add(1) <= maxWaiting; !waits {
				p.waiting.Add(-1)
				return nil, begin, nil, err
			}
			defer p.waiting.Add(-1)
		}
		select {
		case <-time.After(firstLook):
		case <-ctx.Done():
			return nil, begin, nil, ctx.Err()
		}
	}
}

// shifted returns what there is of the playlist that want asks for, and completes want. After an error there may be parts
// all the same, of which there is no segment yet.
func (p *Player) shifted(ctx context.Context, who string, want *listKey, begin time.Time) ([]Part, *playlist, error) {
	parts, err := p.archive.inTurn(ctx, who, func() ([]Part, error) {
		return p.archive.Recent(ctx, want.stream, want.recording, want.from, time.Now())
	})
	if err != nil {
		return nil, nil, err
	}
	last := &parts[len(parts)-1]
	if last.State != Recording && !last.To.After(begin) {
		return nil, nil, fmt.Errorf("%w: nothing of this stream was recorded since %s", ErrNotFound, stamp(begin))
	}
	want.recording, want.life, want.target = last.Recording, last.Epoch, targetMost
	if last.State != Damaged && last.Format == formatMP4 {
		if x, err := p.archive.fragments(ctx, &last.Row); err == nil {
			want.target = targetOf(x.Fragments)
		}
	}
	e, err := p.lists.get(ctx, p, who, *want)
	return parts, e, err
}

// begins reports whether a recording of a stream has just begun, so that there will soon be something of it.
func (a *Archive) begins(ctx context.Context, stream string) bool {
	var open []Row
	err := a.use(true, func(x *index) (err error) {
		open, err = x.query(ctx, "WHERE f.state = 0 AND f.stream = ? AND f.start > ?", stream, time.Now().Add(-2*firstTime).UnixNano())
		return err
	})
	return err == nil && slices.ContainsFunc(open, func(r Row) bool { return r.Format == formatMP4 })
}

// Past returns how far one can go back in a stream; false if nothing of it was recorded in the last 24 hours, or as something that
// cannot be played by time.
func (a *Archive) Past(ctx context.Context, stream string) (time.Duration, bool) {
	now := time.Now()
	parts, err := a.Recent(ctx, stream, "", now.Add(-maxShift), now)
	if errors.Is(err, ErrNotFound) {
		return 0, a.begins(ctx, stream)
	}
	if err != nil {
		return 0, false
	}
	if parts[len(parts)-1].Format != formatMP4 {
		return 0, a.begins(ctx, stream)
	}
	return now.Sub(parts[0].From), true
}

// parse reads what index has put into the address of a growing playlist.
func (k *listKey) parse(q url.Values, now time.Time) (err error) {
	k.event = true
	if k.from, err = moment(q, "start", now); err != nil {
		return err
	}
	life, err := strconv.ParseUint(q.Get("life"), 10, 64)
	target, bad := strconv.Atoi(q.Get("target"))
	if err != nil || bad != nil || target < targetLeast || target > targetMost || strings.HasPrefix(q.Get("start"), "-") {
		return fmt.Errorf("%w: begin with index.m3u8?start=, which resolves a time before now once", ErrQuery)
	}
	k.from, k.life, k.target = k.from.UTC(), life, target
	return nil
}
