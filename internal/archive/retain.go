package archive

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"modernc.org/sqlite"

	"weir/internal/record"
	"weir/internal/session"
)

// cleanEvery is how often is looked whether files are to go, besides whenever one has become whole.
const cleanEvery = 10 * time.Second

// maxRemoved bounds the files that are removed before the other work of Run goes on.
const maxRemoved = 1000

const (
	// stuckTime is for how long a file that could not be removed is passed over.
	stuckTime = 5 * time.Minute
	// maxStuck bounds the files of a directory, or objects of a storage, that cannot be removed in one look: then the next one goes on.
	maxStuck = 10
)

// stuck are the files that could not be removed lately.
type stuck struct {
	until  map[string]time.Time // by id
	failed map[string]int       // in this look, by where they are
	first  map[string]error
}

// begin begins a look.
func (s *stuck) begin() {
	now := time.Now()
	maps.DeleteFunc(s.until, func(_ string, end time.Time) bool { return !now.Before(end) })
	s.failed, s.first = map[string]int{}, map[string]error{}
}

// note notes that a file could not be removed from a place.
func (s *stuck) note(id, place string, err error) {
	if s.until == nil {
		s.until = map[string]time.Time{}
	}
	s.until[id] = time.Now().Add(stuckTime)
	if s.failed[place]++; s.failed[place] == 1 {
		s.first[place] = err
	}
}

// full reports whether no more is tried at a place in this look.
func (s *stuck) full(place string) bool { return s.failed[place] >= maxStuck }

// has reports whether a file is passed over.
func (s *stuck) has(id string) bool {
	_, ok := s.until[id]
	return ok
}

// Why a file is removed, as metrics and events say it.
const (
	ByAge    = "age"
	ByTotal  = "total"
	ByStream = "stream"
	ByFree   = "free"
	ByUpload = "uploaded"
)

// rule is a rule by which files are kept, with what there is of them.
type rule struct {
	id     int64
	dir    string
	keep   record.Keep
	upload string
	bytes  int64
}

// figures count what was removed, by why.
type figures map[string]uint64

// Removed yields how many files retention has removed so far, by why.
func (a *Archive) Removed(yield func(why string, files uint64)) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, why := range []string{ByAge, ByTotal, ByStream, ByFree, ByUpload} {
		yield(why, a.figure[why])
	}
}

// clean removes the files that their rules do not keep: whole ones, the oldest first, and never one that is still
// to be uploaded. The rule is that of the entry which made the file, whatever the configuration says now.
func (a *Archive) clean(ctx context.Context) {
	a.cleaning.Lock() // what two removed would be counted twice
	defer a.cleaning.Unlock()
	a.mu.RLock()
	ready := a.ready
	a.mu.RUnlock()
	if !ready || ctx.Err() != nil {
		return
	}
	var rules []rule
	err := a.use(true, func(x *index) (err error) {
		rules, err = x.rules(ctx)
		return err
	})
	a.stuck.begin()
	room := int64(maxRemoved)
	for i := range rules {
		if err != nil || room <= 0 {
			break
		}
		err = a.cleanRule(ctx, &rules[i], &room)
	}
	if err == nil && room > 0 {
		err = a.cleanSpace(ctx, rules, &room)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrIndexing) {
		a.log.Error("old recordings cannot be removed", slog.String("err", session.ErrorText(err, 256)))
	}
	for dir, err := range a.stuck.first {
		a.log.Error("recordings cannot be removed; others are in their place, and they are tried again later",
			slog.String("dir", dir), slog.Int("files", a.stuck.failed[dir]), slog.String("err", session.ErrorText(err, 256)), slog.Duration("again", stuckTime))
	}
	if room <= 0 {
		a.wake()
	}
}

// rules returns the rules that have files.
func (x *index) rules(ctx context.Context) ([]rule, error) {
	rows, err := x.read.QueryContext(ctx, `SELECT r.id, d.path, r.keep, sum(s.bytes) FROM sums s JOIN rules r ON r.id = s.rule JOIN dirs d ON d.id = r.dir
		GROUP BY r.id ORDER BY r.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []rule
	for rows.Next() {
		var r rule
		var keep string
		if err := rows.Scan(&r.id, &r.dir, &keep, &r.bytes); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(keep), &r.keep); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// removable is the condition of files that may go: whole, and uploaded if they are to be, or damaged.
const removable = "(f.state = 1 AND f.pending = 0 OR f.state = 2)"

// pageSize is how many files are looked up at once.
const pageSize = 100

// oldest returns the first page of the files behind a place that are of some rules, may go, and are selected by a condition, the oldest first.
func (x *index) oldest(ctx context.Context, rules []int64, start int64, id, where string, args ...any) (list []Row, err error) {
	for _, rule := range rules { // each has an index of its own
		more, err := x.query(ctx, "WHERE "+removable+" AND f.rule = ? AND (f.start, f.id) > (?, ?) AND "+where+" ORDER BY f.start, f.id LIMIT ?",
			append(append([]any{rule, start, id}, args...), pageSize)...)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
		slices.SortFunc(list, func(a, b Row) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID)) })
		list = list[:min(len(list), pageSize)]
	}
	return list, nil
}

// drop removes the oldest files of some rules of a directory that may go and that a condition selects, until excess bytes are gone. One that cannot be removed is
// passed over.
func (a *Archive) drop(ctx context.Context, dir, why string, excess, room *int64, rules []int64, where string, args ...any) error {
	for start, id := int64(math.MinInt64), ""; ; {
		var list []Row
		if err := a.use(true, func(x *index) (err error) {
			list, err = x.oldest(ctx, rules, start, id, where, args...)
			return err
		}); err != nil {
			return err
		}
		for i := range list {
			r := &list[i]
			if *excess <= 0 || *room <= 0 || a.stuck.full(dir) {
				return nil
			}
			if a.stuck.has(r.ID) {
				continue
			}
			err := a.dropOne(ctx, r)
			if _, ok := errors.AsType[*sqlite.Error](err); ok || errors.Is(err, ErrIndexing) || ctx.Err() != nil {
				return err
			}
			if err != nil {
				a.stuck.note(r.ID, dir, err)
				continue
			}
			*excess -= r.Bytes
			*room--
			a.removed(r, why)
		}
		if len(list) < pageSize {
			return nil
		}
		last := &list[len(list)-1]
		start, id = last.Start.UnixNano(), last.ID
	}
}

// dropOne removes a file by rule.
func (a *Archive) dropOne(ctx context.Context, r *Row) error {
	if r.Object != "" { // what is in the storage can still be played
		return a.shelve(r)
	}
	if r.State == Damaged { // a part of it may have been sent
		ctx, cancel := context.WithTimeout(ctx, withdrawTime)
		defer cancel()
		if err := a.withdraw(ctx, r); err != nil {
			return err
		}
	}
	return a.remove(r)
}

// withdrawTime is how long the storage may take to forget what was sent of a damaged file.
const withdrawTime = 10 * time.Second

// removed counts and tells that a file was removed.
func (a *Archive) removed(r *Row, why string) {
	a.mu.Lock()
	if a.figure == nil {
		a.figure = figures{}
	}
	a.figure[why]++
	a.mu.Unlock()
	a.log.Info("recording removed", slog.String("stream", r.Stream), slog.String("file", r.Name), slog.String("reason", why), slog.Int64("bytes", r.Bytes))
}

// expire removes recordings from the storage that their rules do not keep there any longer, and from here. What the storage does not let go of is tried
// again later.
func (a *Archive) expire(ctx context.Context) error {
	var rules []rule
	if err := a.use(true, func(x *index) (err error) {
		rules, err = x.uploadRules(ctx)
		return err
	}); err != nil {
		return err
	}
	var errs []error
	s := &a.uploads.stuck
	s.begin()
	for i := range rules {
		if rules[i].keep.Uploaded > 0 && ctx.Err() == nil {
			errs = append(errs, a.expireRule(ctx, s, &rules[i]))
		}
	}
	return errors.Join(append(errs, slices.Collect(maps.Values(s.first))...)...)
}

// expireRule removes what one rule does not keep in the storage. What cannot be removed is passed over.
func (a *Archive) expireRule(ctx context.Context, s *stuck, r *rule) error {
	if _, err := a.uploads.bucket(r.upload); err != nil {
		return err
	}
	before := time.Now().Add(-r.keep.Uploaded).UnixNano()
	start, id := int64(math.MinInt64), ""
	for range maxExpired {
		var list []Row
		if err := a.use(true, func(x *index) (err error) {
			list, err = x.query(ctx, "WHERE f.rule = ? AND (f.start, f.id) > (?, ?) AND f.start < ? AND f.start + f.length < ? AND f.object <> '' AND f.state > 0 ORDER BY f.start, f.id LIMIT ?",
				r.id, start, id, before, before, pageSize)
			return err
		}); err != nil {
			return err
		}
		for i := range list {
			f := &list[i]
			if s.full(r.upload) || ctx.Err() != nil {
				return ctx.Err()
			}
			if s.has(f.ID) {
				continue
			}
			err := a.withdraw(ctx, f)
			if err == nil {
				err = a.remove(f)
			}
			if err != nil {
				s.note(f.ID, r.upload, err)
				continue
			}
			a.removed(f, ByUpload)
		}
		if len(list) < pageSize {
			break
		}
		last := &list[len(list)-1]
		start, id = last.Start.UnixNano(), last.ID
	}
	return nil
}

// maxExpired bounds the pages of files of a rule that are removed between two looks at what is to be sent.
const maxExpired = 10

// uploadRules returns the rules whose files are uploaded.
func (x *index) uploadRules(ctx context.Context) (list []rule, err error) {
	rows, err := x.read.QueryContext(ctx, "SELECT id, keep, upload FROM rules WHERE upload <> ''")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r rule
		var keep string
		if err := rows.Scan(&r.id, &keep, &r.upload); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(keep), &r.keep); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// cleanRule removes what one rule does not keep: by age, then for its total, then for each stream.
func (a *Archive) cleanRule(ctx context.Context, r *rule, room *int64) error {
	if r.keep.For > 0 {
		before := time.Now().Add(-r.keep.For).UnixNano()
		const all = int64(1) << 62
		excess := all
		if err := a.drop(ctx, r.dir, ByAge, &excess, room, []int64{r.id}, "f.start + f.length < ? AND f.start < ?", before, before); err != nil {
			return err
		}
		r.bytes -= all - excess // the total is for what is left
	}
	if excess := r.bytes - r.keep.Total; r.keep.Total > 0 && excess > 0 {
		if err := a.drop(ctx, r.dir, ByTotal, &excess, room, []int64{r.id}, "TRUE"); err != nil {
			return err
		}
	}
	if r.keep.PerStream <= 0 {
		return nil
	}
	over, err := a.overfull(ctx, r)
	if err != nil {
		return err
	}
	for stream, excess := range over {
		if err := a.drop(ctx, r.dir, ByStream, &excess, room, []int64{r.id}, "f.stream = ?", stream); err != nil {
			return err
		}
	}
	return nil
}

// overfull returns by how much streams have more than the rule keeps of each.
func (a *Archive) overfull(ctx context.Context, r *rule) (over map[string]int64, err error) {
	over = map[string]int64{}
	err = a.use(true, func(x *index) error {
		rows, err := x.read.QueryContext(ctx, "SELECT stream, bytes FROM sums WHERE rule = ? AND bytes > ?", r.id, r.keep.PerStream)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var stream string
			var n int64
			if err := rows.Scan(&stream, &n); err != nil {
				return err
			}
			over[stream] = n - r.keep.PerStream
		}
		return rows.Err()
	})
	return over, err
}

// cleanSpace removes the oldest files of each directory while its file system has less room than their rules want, whichever of these they are of. Those of rules
// that want less go only while there is less than that.
func (a *Archive) cleanSpace(ctx context.Context, rules []rule, room *int64) error {
	dirs := map[string][]*rule{}
	for i := range rules {
		dirs[rules[i].dir] = append(dirs[rules[i].dir], &rules[i])
	}
	for dir, list := range dirs {
		free, total, err := a.opt.Space(dir)
		if err != nil { // the directory is not there
			continue
		}
		want := func(r *rule) int64 {
			share, err := record.ParseSpace(r.keep.Free)
			if err != nil { // it was checked when the file was made
				return 0
			}
			return share.Of(total)
		}
		slices.SortStableFunc(list, func(a, b *rule) int { return cmp.Compare(want(a), want(b)) })
		for i, r := range list {
			excess := want(r) - free
			if want(r) <= 0 || excess <= 0 || i > 0 && want(r) == want(list[i-1]) {
				continue
			}
			var ids []int64
			for _, other := range list[i:] { // they want as much, or more
				ids = append(ids, other.id)
			}
			if err := a.drop(ctx, dir, ByFree, &excess, room, ids, "TRUE"); err != nil {
				return err
			}
			if free, _, err = a.opt.Space(dir); err != nil {
				break
			}
		}
	}
	return nil
}
