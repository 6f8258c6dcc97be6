package admit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"weir/internal/statefile"
)

const (
	maxKeySet    = 1 << 20          // bytes
	fetchTime    = 10 * time.Second // for one fetch
	fetchAgain   = time.Minute      // between two that unknown keys cause, at least
	fetchBackoff = 5 * time.Second  // before it is tried again, doubled each time up to refresh
	// unknownWait is how long a token with an unknown key waits for a fetch that may bring the key.
	unknownWait = 2 * time.Second
)

var (
	errNoKeys     = errors.New("no key set")
	errUnknownKey = errors.New("unknown key")
)

// keySet is a JSON Web Key Set that is fetched in the background. While it cannot be fetched the last one
// stays in force.
type keySet struct {
	source  string
	refresh time.Duration
	client  *http.Client
	log     *slog.Logger
	keys    atomic.Pointer[keyfunc.Keyfunc] // nil: it was never fetched
	asked   chan struct{}                   // holds one element if an unknown key was asked for

	mu      sync.Mutex    // guards below
	fetched chan struct{} // closed when the next fetch is over
	unknown time.Time     // when an unknown key last caused a fetch
	due     bool          // which is not over
}

func newKeySet(source string, refresh time.Duration, log *slog.Logger) *keySet {
	return &keySet{
		source: source, refresh: max(refresh, time.Minute), log: log,
		client: &http.Client{
			Timeout:       fetchTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSHandshakeTimeout: fetchTime},
		},
		asked: make(chan struct{}, 1), fetched: make(chan struct{}),
	}
}

// run fetches the set until ctx ends.
func (s *keySet) run(ctx context.Context) {
	wait := time.Duration(0)
	backoff := fetchBackoff
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-s.asked:
			asked = true
		}
		err := s.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		wait = s.refresh
		if err != nil {
			about := []any{slog.Any("err", err), slog.Duration("again_in", backoff)}
			if s.keys.Load() == nil {
				s.log.Warn("the key set of auth.jwt.jwks could not be fetched: nobody is let in by a token until it is", about...)
			} else {
				s.log.Warn("the key set of auth.jwt.jwks could not be fetched: the last one stays in force", about...)
			}
			wait = backoff
			backoff = min(2*backoff, s.refresh)
		} else {
			backoff = fetchBackoff
		}
		t.Reset(wait)
		s.mu.Lock()
		close(s.fetched)
		s.fetched = make(chan struct{})
		s.due = s.due && !asked
		s.mu.Unlock()
	}
}

// fetch gets the set once.
func (s *keySet) fetch(ctx context.Context) error {
	b, err := s.get(ctx)
	if err != nil {
		return err
	}
	keys, n, skipped, err := parseKeySet(b)
	if err != nil {
		return err
	}
	first := s.keys.Swap(&keys) == nil
	if first {
		s.log.Info("the key set of auth.jwt.jwks is loaded", slog.Int("keys", n), slog.Int("left_out", skipped))
	}
	return nil
}

func (s *keySet) get(ctx context.Context) ([]byte, error) {
	if !strings.Contains(s.source, "://") {
		b, err := statefile.Read(s.source, maxKeySet)
		if err == nil && b == nil {
			err = fmt.Errorf("there is no file %s", s.source)
		}
		return b, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.source, nil)
	if err != nil {
		return nil, errors.New("the URL is wrong")
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err == nil && len(b) > maxKeySet {
		err = fmt.Errorf("the answer has more than %d bytes", maxKeySet)
	}
	return b, err
}

// parseKeySet reads a key set. Keys that are for something else, or of a kind that is not known, are left out.
func parseKeySet(b []byte) (keys keyfunc.Keyfunc, n, skipped int, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err != nil || set.Keys == nil {
		return nil, 0, 0, errors.New("this is no key set")
	}
	good := set.Keys[:0]
	for _, raw := range set.Keys {
		var use struct {
			Type string `json:"kty"`
			Use  string `json:"use"`
		}
		if json.Unmarshal(raw, &use) != nil || use.Use == "enc" || use.Type == "oct" {
			skipped++ // a secret has no place in what everybody may fetch
			continue
		}
		if _, err := keyfunc.NewJWKSetJSON(joinKeys(raw)); err != nil {
			skipped++
			continue
		}
		good = append(good, raw)
	}
	if len(good) == 0 {
		return nil, 0, skipped, errors.New("the key set has no key that can be used")
	}
	keys, err = keyfunc.NewJWKSetJSON(joinKeys(good...))
	return keys, len(good), skipped, err
}

func joinKeys(keys ...json.RawMessage) json.RawMessage {
	b, err := json.Marshal(map[string][]json.RawMessage{"keys": keys})
	if err != nil {
		return nil // it was JSON before
	}
	return b
}

// key returns the key of a token. One that is not in the set makes the set be fetched, once a minute at most, and
// waits for that a little.
func (s *keySet) key(ctx context.Context, t *jwt.Token) (any, error) {
	key, err := s.find(ctx, t)
	if err == nil {
		return key, nil
	}
	if _, named := t.Header["kid"].(string); !named && !errors.Is(err, errNoKeys) {
		return nil, err
	}
	fetched, ok := s.ask(time.Now())
	if !ok {
		return nil, err
	}
	wait := time.NewTimer(unknownWait)
	defer wait.Stop()
	for ok {
		select {
		case <-fetched:
			if key, err = s.find(ctx, t); err == nil {
				return key, nil
			}
			fetched, ok = s.pending() // that fetch may have begun before this one was asked for
		case <-wait.C:
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
	}
	return nil, err
}

// pending returns what is closed when the next fetch is over; false if none is due that was asked for.
func (s *keySet) pending() (fetched <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetched, s.due
}

func (s *keySet) find(ctx context.Context, t *jwt.Token) (any, error) {
	keys := s.keys.Load()
	if keys == nil {
		return nil, errNoKeys
	}
	key, err := (*keys).KeyfuncCtx(ctx)(t)
	if err != nil {
		return nil, errUnknownKey // its own text repeats the token's
	}
	return key, nil
}

// ask makes the set be fetched, unless an unknown key did so less than a minute ago. Those who ask for one
// meanwhile wait for the same fetch, as long as it lasts, and afterwards for nothing.
func (s *keySet) ask(now time.Time) (fetched <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := now.Sub(s.unknown)
	if since >= fetchAgain || since < 0 {
		s.unknown, s.due = now, true
		select {
		case s.asked <- struct{}{}:
		default:
		}
		return s.fetched, true
	}
	return s.fetched, s.due && since < unknownWait
}

// isLoopbackName reports whether a host is this machine.
func isLoopbackName(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
