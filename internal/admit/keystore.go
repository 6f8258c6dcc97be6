package admit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/session"
	"weir/internal/statefile"
)

const (
	// watchEvery is how often a server looks whether its file of keys has changed.
	watchEvery = time.Second
	// lookAgain is how often it looks at most because a peer has given a key that it does not know.
	lookAgain = 100 * time.Millisecond
	// For endingTime after a revocation, sessions of the key are looked for and ended: one may have been let in by it a
	// moment before, and a viewer of HLS may take its time to begin.
	endingTime = 3 * time.Minute
	// noteEvery is how often it notes when keys were used.
	noteEvery = time.Minute
)

// storedKey is what a key of a KeyStore has beside what every key has.
type storedKey struct {
	id    string
	role  session.Role
	match []string
	keep  bool         // sessions outlast its revocation
	used  atomic.Int64 // when it admitted somebody last, in Unix seconds; 0: never
}

func (k *storedKey) fits(q *Request) bool { return k.role == q.Role && matchSegments(k.match, q.Path) }

// stored are the keys of a file at one time.
type stored struct {
	*ring
	list          []*held
	publish, play *Matcher // the streams for which there are keys, valid or not
	// named are the streams for which there are keys that may stand in the place of the name, by role.
	named map[session.Role]*Matcher
}

// noKeys are those of a server without a file of keys.
var noKeys = &ring{}

// KeyStore has the keys of a KeyFile while a server runs, also those that are made then. A stream that
// any of its keys is for, even one that has run out or was revoked, asks for a key. Its methods, Run
// apart, may be called on a nil *KeyStore, which has no keys.
type KeyStore struct {
	// InUse returns the keys, as Grant.Key has them, by which sessions are there now, if it is set before Run.
	InUse func() map[uint64]int

	file KeyFile
	log  *slog.Logger
	now  atomic.Pointer[stored]
	wake chan struct{} // holds one element if keys were withdrawn

	blind atomic.Bool // the file cannot be read

	mu        sync.Mutex // guards below; held while the file is read
	seen      fs.FileInfo
	failed    string // why the file could not be read when that was last logged; empty: it could
	looked    time.Time
	withdrawn map[uint64]time.Time // since when, by Grant.Key: their sessions are to end
}

// OpenKeys reads a file of keys. It fails if the file cannot be read; that it is missing is no error.
func OpenKeys(f KeyFile, log *slog.Logger) (*KeyStore, error) {
	s := &KeyStore{file: f, log: log, wake: make(chan struct{}, 1), withdrawn: map[uint64]time.Time{}}
	s.now.Store(&stored{ring: noKeys})
	used, err := f.LastUsed()
	if err != nil {
		return nil, err
	}
	if s.seen, err = os.Stat(f.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return s, s.read(func(id string) int64 {
		if t, ok := used[id]; ok {
			return t.Unix()
		}
		return 0
	})
}

// current returns the keys there are.
func (s *KeyStore) current() *ring {
	if s == nil {
		return noKeys
	}
	return s.now.Load().ring
}

// covers reports whether a rule asks for one of these keys on a request. While the file cannot be read, all do that ask for
// keys at all: it may have one for the stream.
func (s *KeyStore) covers(rule *rule, r *Request) bool {
	if s == nil || !slices.Contains(rule.auth, ByKeys) {
		return false
	}
	if s.blind.Load() {
		return true
	}
	now := s.now.Load()
	m := now.play
	if r.Role == session.Publish {
		m = now.publish
	}
	return m != nil && m.Match(r.Path) >= 0
}

// areNames reports whether a key may stand in the place of the name in a request.
func (s *KeyStore) areNames(r *Request) bool {
	if s == nil {
		return false
	}
	m := s.now.Load().named[r.Role]
	return m != nil && m.Match(r.Path) >= 0
}

// unreadable reports whether the file cannot be read now.
func (s *KeyStore) unreadable() bool { return s != nil && s.blind.Load() }

// read takes over the file's content. used tells when a key was used. The store is not in use, or mu is held.
func (s *KeyStore) read(used func(id string) int64) error {
	keys, err := s.file.List()
	if err != nil {
		return err
	}
	next := &stored{list: make([]*held, len(keys)), named: map[session.Role]*Matcher{}}
	patterns, named := map[session.Role][]string{}, map[session.Role][]string{}
	for i := range keys {
		h := keys[i].hold()
		h.stored.used.Store(used(h.stored.id))
		next.list[i] = h
		if p := patterns[h.stored.role]; !slices.Contains(p, keys[i].Match) {
			patterns[h.stored.role] = append(p, keys[i].Match)
		}
		if p := named[h.stored.role]; keys[i].Path != "" && !slices.Contains(p, keys[i].Match) {
			named[h.stored.role] = append(p, keys[i].Match)
		}
	}
	next.ring = newRing(next.list)
	if next.publish, err = NewMatcher(patterns[session.Publish]); err != nil {
		return err
	}
	if next.play, err = NewMatcher(patterns[session.Play]); err != nil {
		return err
	}
	for role, p := range named {
		if next.named[role], err = NewMatcher(p); err != nil {
			return err
		}
	}
	s.now.Store(next)
	return nil
}

// hold makes a stored key ready to be found. It is valid.
func (k *StoredKey) hold() *held {
	h := &held{
		revoked: !k.Revoked.IsZero(),
		stored:  &storedKey{id: k.ID, role: session.Play, match: strings.Split(k.Match, "/"), keep: k.Keep},
		terms:   &session.Terms{By: ByKeys, KeyID: k.ID, Label: k.Label, Path: k.Path, Until: k.Expires},
	}
	h.hash, _ = parseDigest(k.Hash)
	if k.Role == session.Publish.String() {
		h.stored.role = session.Publish
	}
	return h
}

// look reads the file again because a key is not known, unless it did so a moment ago. It reports whether
// the keys have changed.
func (s *KeyStore) look(now time.Time) bool {
	if s == nil || !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	if since := now.Sub(s.looked); since >= 0 && since < lookAgain {
		return false
	}
	s.looked = now
	return s.reload()
}

// reload reads the file if it has changed, and reports whether the keys are others now. A file that is gone leaves the keys
// as they are. So does one that cannot be read, but all streams ask for a key until it can: it is tried each time. mu is held.
func (s *KeyStore) reload() bool {
	info, err := os.Stat(s.file.Name)
	if errors.Is(err, fs.ErrNotExist) {
		if s.seen != nil {
			s.log.Warn("the file of keys is gone: the keys that were in it stay valid until the server starts again", slog.String("file", s.file.Name))
		}
		s.seen, s.failed = nil, ""
		s.blind.Store(false)
		return false
	}
	if err == nil && s.failed == "" && s.seen != nil && os.SameFile(info, s.seen) && info.ModTime().Equal(s.seen.ModTime()) && info.Size() == s.seen.Size() {
		return false
	}
	before := s.now.Load()
	if err == nil {
		s.seen = info
		byID := make(map[string]*held, len(before.list))
		for _, k := range before.list {
			byID[k.stored.id] = k
		}
		err = s.read(func(id string) int64 {
			if k := byID[id]; k != nil {
				return k.stored.used.Load()
			}
			return 0
		})
	}
	if err != nil {
		s.blind.Store(true)
		if why := err.Error(); why != s.failed {
			s.failed = why
			s.log.Error("the file of keys cannot be read: known keys stay as they were, and every stream whose auth has keys asks for one until it can be read; it must belong to the user that the server runs as",
				slog.String("file", s.file.Name), slog.Any("err", err))
		}
		return false
	}
	s.failed = ""
	s.blind.Store(false)
	after := s.now.Load()
	s.withdraw(before, after)
	s.log.Info("keys were read", slog.String("file", s.file.Name), slog.Int("keys", after.size))
	return true
}

// withdraw notes the keys whose sessions are to end: those that were revoked or taken out of the file. mu is held.
func (s *KeyStore) withdraw(before, after *stored) {
	still := make(map[digest]*held, len(after.list))
	for _, k := range after.list {
		still[k.hash] = k
		if !k.revoked { // perhaps it is back
			delete(s.withdrawn, k.hash.id())
		}
	}
	for _, k := range before.list {
		if now := still[k.hash]; now == nil || now.revoked && !now.stored.keep && (!k.revoked || k.stored.keep) {
			s.withdrawn[k.hash.id()] = time.Now()
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
	}
}

// Run watches the file until ctx ends, and calls end with the keys, as Grant.Key has them, whose sessions are
// to end because the keys were revoked: at once, and with each look at the file for endingTime.
func (s *KeyStore) Run(ctx context.Context, end func(keys map[uint64]bool)) error {
	watch, note := time.NewTicker(watchEvery), time.NewTicker(noteEvery)
	defer watch.Stop()
	defer note.Stop()
	var noted map[string]time.Time
	for {
		select {
		case <-ctx.Done():
			s.note(noted)
			return nil
		case <-note.C:
			noted = s.note(noted)
			continue
		case <-watch.C:
		case <-s.wake:
		}
		if keys := s.ending(time.Now()); len(keys) > 0 {
			end(keys)
		}
	}
}

// Refresh reads the file now if it has changed. What follows from it is Run's.
func (s *KeyStore) Refresh() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reload()
}

// stillUsed notes that keys are used whose sessions go on.
func (s *KeyStore) stillUsed() {
	if s == nil || s.InUse == nil {
		return
	}
	in, now := s.InUse(), time.Now().Unix()
	for _, k := range s.now.Load().list {
		if in[k.hash.id()] > 0 {
			k.stored.used.Store(now)
		}
	}
}

// LastUsed returns when each key was used last.
func (s *KeyStore) LastUsed() map[string]time.Time {
	used := map[string]time.Time{}
	if s == nil {
		return used
	}
	s.stillUsed()
	for _, k := range s.now.Load().list {
		if at := k.stored.used.Load(); at != 0 {
			used[k.stored.id] = time.Unix(at, 0).UTC()
		}
	}
	return used
}

// ending reads the file if it has changed, and returns the keys whose sessions are to end.
func (s *KeyStore) ending(now time.Time) map[uint64]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reload()
	keys := map[uint64]bool{}
	for key, since := range s.withdrawn {
		if now.Sub(since) > endingTime {
			delete(s.withdrawn, key)
		} else {
			keys[key] = true
		}
	}
	return keys
}

// note writes down when keys were used, if that is not what was noted before, and returns it.
func (s *KeyStore) note(before map[string]time.Time) map[string]time.Time {
	used := s.LastUsed()
	if maps.EqualFunc(used, before, time.Time.Equal) {
		return before
	}
	b, err := json.MarshalIndent(used, "", "  ")
	if err == nil {
		err = statefile.Write(s.file.usedName(), append(b, '\n'))
	}
	if err != nil {
		s.log.Warn("cannot record when keys were last used", slog.String("file", s.file.usedName()), slog.Any("err", err))
		return before // so that the next time tries again
	}
	return used
}
