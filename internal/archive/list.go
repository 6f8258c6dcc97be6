package archive

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// MaxPage bounds the files of one page of a list.
const MaxPage = 1000

// Query says what is to be listed.
type Query struct {
	// Stream is a stream's path; "" lists all streams.
	Stream string
	// From and To bound the time; zero is no bound.
	From, To time.Time
	// Cursor is List.Next of the page before.
	Cursor string
	// Limit is how many files there may be in the page, up to MaxPage; 0 is that many.
	Limit int
}

// List is a page of what was recorded. A span may go on in the next page, where it begins at the time at
// which it ends here.
type List struct {
	Spans []Span
	Gaps  []Gap
	Next  string
}

// List lists what was recorded. It fails with ErrIndexing or ErrQuery.
func (a *Archive) List(ctx context.Context, q Query) (List, error) {
	from, to := q.From, q.To
	if from.IsZero() {
		from = earliest
	}
	if to.IsZero() {
		to = latest
	}
	if !from.Before(to) {
		return List{}, fmt.Errorf("%w: to must be later than from", ErrQuery)
	}
	limit := q.Limit
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	var after *place
	if q.Cursor != "" {
		after = &place{}
		b, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		if err != nil || json.Unmarshal(b, after) != nil {
			return List{}, fmt.Errorf("%w: the cursor is not one of ours", ErrQuery)
		}
	}
	var l List
	rows, next, err := a.page(ctx, q.Stream, from, to, after, limit)
	if err != nil {
		return List{}, err
	}
	a.lengthen(rows)
	parts := cut(rows, from, to)
	if next != nil {
		b, _ := json.Marshal(next) // strings and a number
		l.Next = base64.RawURLEncoding.EncodeToString(b)
	}
	l.Spans, l.Gaps = spansOf(parts)
	if len(rows) > limit { // the one behind has told where the last one ends, and what is missing before it
		l.Spans = without(l.Spans, rows[limit].ID)
	}
	return l, nil
}

// page returns the next files of one stream or of all, and the one behind them if there is one.
func (a *Archive) page(ctx context.Context, stream string, from, to time.Time, after *place, limit int) (rows []Row, next *place, err error) {
	err = a.use(true, func(x *index) error {
		paths := []string{stream}
		if stream == "" {
			begin := ""
			if after != nil {
				begin, paths = after.Stream, []string{after.Stream}
			} else {
				paths = nil
			}
			more, err := x.streams(ctx, begin, limit)
			if err != nil {
				return err
			}
			paths = append(paths, more...)
		}
		for i, p := range paths {
			at := after
			if at != nil && at.Stream != p {
				at = nil
			}
			list, err := x.within(ctx, p, "", from, to, at, limit-len(rows)+1)
			if err != nil {
				return err
			}
			rows = append(rows, list...)
			if len(rows) > limit {
				last := &rows[limit-1]
				next = &place{last.Stream, last.Start.UnixNano(), last.ID}
				return nil
			}
			if stream == "" && i == len(paths)-1 && len(paths) > limit { // there may be more streams
				next = &place{p, latest.UnixNano(), ""}
			}
		}
		return nil
	})
	return rows, next, err
}

// lengthen gives files that are being written the duration that they have by now.
func (a *Archive) lengthen(rows []Row) {
	for i := range rows {
		if rows[i].State == Recording {
			a.media.measure(&rows[i])
		}
	}
}
