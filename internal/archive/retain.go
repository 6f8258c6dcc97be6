package archive

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"weir/internal/record"
	"weir/internal/session"
)

// cleanEvery is how often is looked whether files are to go, besides whenever one has become whole.
const cleanEvery = 10 * time.Second

// maxRemoved bounds the files that are removed before the other work of Run goes on.
const maxRemoved = 1000

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
	id    int64
	dir   string
	keep  record.Keep
	bytes int64
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

// removable is the condition of files that may go: whole, and uploaded if they are to be.
const removable = "f.state = 1 AND f.pending = 0"

// oldest returns the oldest files that may go and that a condition selects.
func (a *Archive) oldest(ctx context.Context, limit int, where string, args ...any) (list []Row, err error) {
	err = a.use(true, func(x *index) error {
		list, err = x.query(ctx, "WHERE "+removable+" AND "+where+" ORDER BY f.start LIMIT ?", append(args, limit)...)
		return err
	})
	return list, err
}

// step is how many files are looked up at once.
const step = 100

// drop removes files until excess bytes are gone, the first of list first.
func (a *Archive) drop(ctx context.Context, list []Row, why string, excess, room *int64) error {
	for i := range list {
		if *excess <= 0 || *room <= 0 {
			return nil
		}
		err := error(nil)
		if list[i].Object != "" { // what is in the storage can still be played
			err = a.shelve(ctx, &list[i])
		} else {
			err = a.remove(&list[i])
		}
		if err != nil {
			return err
		}
		*excess -= list[i].Bytes
		*room--
		a.removed(&list[i], why)
	}
	return nil
}

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
	for i := range rules {
		errs = append(errs, a.expireRule(ctx, &rules[i]))
	}
	return errors.Join(errs...)
}

// expireRule removes what one rule does not keep in the storage, until something fails.
func (a *Archive) expireRule(ctx context.Context, r *rule) error {
	before := time.Now().Add(-r.keep.Uploaded).UnixNano()
	var list []Row
	if err := a.use(true, func(x *index) (err error) {
		list, err = x.query(ctx, "WHERE f.rule = ? AND f.start < ? AND f.start + f.length < ? AND f.object <> '' AND f.state IN (?, ?) ORDER BY f.start LIMIT ?",
			r.id, before, before, int(Done), int(Remote), maxExpired)
		return err
	}); err != nil {
		return err
	}
	for i := range list {
		_, err := a.uploads.bucket(list[i].Upload)
		if err == nil {
			err = a.withdraw(ctx, &list[i])
		}
		if err == nil {
			err = a.remove(&list[i])
		}
		if err != nil {
			return err
		}
		a.removed(&list[i], ByUpload)
	}
	return nil
}

// maxExpired bounds the objects of a rule that are removed between two looks at what is to be sent.
const maxExpired = 100

// uploadRules returns the rules that end what was uploaded.
func (x *index) uploadRules(ctx context.Context) (list []rule, err error) {
	rows, err := x.read.QueryContext(ctx, "SELECT id, keep FROM rules WHERE upload <> ''")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r rule
		var keep string
		if err := rows.Scan(&r.id, &keep); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(keep), &r.keep); err != nil {
			return nil, err
		}
		if r.keep.Uploaded > 0 {
			list = append(list, r)
		}
	}
	return list, rows.Err()
}

// cleanRule removes what one rule does not keep: by age, then for its total, then for each stream.
func (a *Archive) cleanRule(ctx context.Context, r *rule, room *int64) error {
	for r.keep.For > 0 && *room > 0 {
		before := time.Now().Add(-r.keep.For).UnixNano()
		list, err := a.oldest(ctx, step, "f.rule = ? AND f.start + f.length < ? AND f.start < ?", r.id, before, before)
		if err != nil {
			return err
		}
		const all = int64(1) << 62
		excess := all
		if err := a.drop(ctx, list, ByAge, &excess, room); err != nil {
			return err
		}
		r.bytes -= all - excess // the total is for what is left
		if len(list) < step {
			break
		}
	}
	if err := a.cleanSum(ctx, r.bytes-r.keep.Total, r.keep.Total, ByTotal, room, "f.rule = ?", r.id); err != nil {
		return err
	}
	if r.keep.PerStream <= 0 {
		return nil
	}
	over, err := a.overfull(ctx, r)
	if err != nil {
		return err
	}
	for stream, excess := range over {
		if err := a.cleanSum(ctx, excess, r.keep.PerStream, ByStream, room, "f.rule = ? AND f.stream = ?", r.id, stream); err != nil {
			return err
		}
	}
	return nil
}

// cleanSum removes the oldest files that a condition selects until excess bytes are gone; nothing if there is no limit.
func (a *Archive) cleanSum(ctx context.Context, excess, limit int64, why string, room *int64, where string, args ...any) error {
	for limit > 0 && excess > 0 && *room > 0 {
		list, err := a.oldest(ctx, step, where, args...)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := a.drop(ctx, list, why, &excess, room); err != nil {
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

// cleanSpace removes the oldest files of a directory, of all rules that want it, while its file system has less room than they want.
func (a *Archive) cleanSpace(ctx context.Context, rules []rule, room *int64) error {
	done := map[string]bool{}
	for i := range rules {
		dir := rules[i].dir
		if done[dir] {
			continue
		}
		done[dir] = true
		free, total, err := a.opt.Space(dir)
		if err != nil { // the directory is not there
			continue
		}
		for k := range rules {
			if r := &rules[k]; r.dir == dir {
				share, err := record.ParseSpace(r.keep.Free)
				if err != nil { // it was checked when the file was made
					continue
				}
				want := share.Of(total)
				excess := want - free
				if err := a.cleanSum(ctx, excess, want, ByFree, room, "f.rule = ?", r.id); err != nil {
					return err
				}
				if excess > 0 {
					if free, _, err = a.opt.Space(dir); err != nil {
						break
					}
				}
			}
		}
	}
	return nil
}
