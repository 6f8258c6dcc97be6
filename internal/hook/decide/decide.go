// Package decide is the decision hook: the link of the admission chain that asks an HTTP service of the
// operator whether a peer may publish or play.
//
// The service is asked once for all peers that show the same at the same time from the same address, unless it waits
// for the end of each that it allowed (hook.Format.Pairs), and at
// most 64 questions are under way at once. Its answers hold for as long as they say. What holds when it fails is the
// operator's choice; after five failures in a row that is applied at once, and one question a second finds out
// whether the service is back.
package decide

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/admit"
	"weir/internal/hook"
	"weir/internal/session"
)

const (
	// maxCalls is how many questions are under way at once, and maxPlayCalls how many of them may be about
	// players: a wave of players does not keep publishers waiting.
	maxCalls     = 64
	maxPlayCalls = 63
	// maxQuery bounds the query that is passed on, in bytes.
	maxQuery = 8 << 10
	// maxShown bounds each part of a credential that is passed on, in bytes.
	maxShown = 4 << 10
	// What belongs to no session, such as a page that asks for a stream's description every few seconds, goes
	// by one answer for a while.
	sessionlessAllowed = 30 * time.Second
	sessionlessDenied  = 5 * time.Second
	// keepLast is how long an answer is remembered for on_error: last.
	keepLast = 24 * time.Hour
)

// The results that Metrics are told.
const (
	Allowed = "allow"  // the service said yes
	Denied  = "deny"   // the service said no
	Cached  = "cached" // an earlier answer, yes or no, still held
	Failed  = "error"  // the service failed or did not answer in time
	Skipped = "open"   // it was not asked, because it keeps failing
)

// Results are all of them.
func Results() []string { return []string{Allowed, Denied, Cached, Failed, Skipped} }

// Metrics counts decisions.
type Metrics interface {
	// Decided counts one decision with its result and how long the peer waited for it.
	Decided(result string, d time.Duration)
	// Failed counts one question that the service failed to answer, however many peers waited for it.
	Failed()
}

// Options are what a Client needs.
type Options struct {
	Log     *slog.Logger
	Metrics Metrics // may be nil
	Server  hook.Server
	// MayRename reports whether a stream asked for under one path may be published or played under
	// another. It is not asked with Config.Rename "any"; nil allows nothing.
	MayRename func(from, to string) bool
	// Gone is told of each peer that had gone when a service said yes to it that pairs its answers with ends (see
	// hook.Format.Pairs). It may be nil.
	Gone func(r *admit.Request)
}

// Client asks the service. It implements admit.Confirmer and admit.Renamer, and is safe for concurrent use.
type Client struct {
	log     *slog.Logger
	metrics Metrics
	server  hook.Server
	may     func(from, to string) bool
	gone    func(r *admit.Request)
	plan    atomic.Pointer[Plan]
	calls   chan struct{} // holds one for each question under way
	players chan struct{} // likewise, of those about players
	crowd   crowd         // of the same, by address
	asking  sync.WaitGroup

	mu      sync.Mutex // guards below; a leaf
	closed  bool
	flights map[seat]*flight
	breaker breaker
	fresh   memory // answers that still hold
	last    memory // the last answer to each credential
}

// New makes a client that asks nobody until Use. Close ends it.
func New(o Options) *Client {
	c := &Client{
		log: o.Log, metrics: o.Metrics, server: o.Server, may: o.MayRename, gone: o.Gone,
		calls: make(chan struct{}, maxCalls), players: make(chan struct{}, maxPlayCalls),
		flights: map[seat]*flight{},
	}
	c.plan.Store(&Plan{})
	return c
}

// Use puts a plan into force. Questions under way go on by the last one.
func (c *Client) Use(p *Plan) {
	old := c.plan.Swap(p)
	if old.http != nil {
		old.http.Close()
	}
	if old.conf == p.conf {
		return
	}
	c.mu.Lock() // another service may say other things
	c.breaker, c.fresh, c.last = breaker{}, memory{}, memory{}
	c.mu.Unlock()
	for _, t := range p.all() {
		if !t.Private() {
			c.log.Warn("credentials go to the decision hook unencrypted: use https", slog.String("hook", t.String()))
		}
	}
}

// Close gives up all questions under way, whose peers are refused, and waits until they have ended.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	for _, f := range c.flights {
		f.cancel()
	}
	c.mu.Unlock()
	c.asking.Wait()
	c.Use(&Plan{})
}

// Config returns the configuration in force; the zero one if nobody is asked.
func (c *Client) Config() Config { return c.plan.Load().conf }

// Confirms implements admit.Confirmer: with Config.When "always" the service is asked even where another link
// has let a peer in.
func (c *Client) Confirms() bool { return c.plan.Load().conf.When == "always" }

// Decide implements admit.Link. It waits for the service's answer, Config.Timeout at most. What no address is
// configured for passes, and so do peers of this program unless Config.InProcess says otherwise. Of a connection that
// is allowed the terms' path, if there is one, is the app that it is given instead. It sets r.Owed where the service waits for
// the end of what it has allowed, also if it returns an error all the same.
func (c *Client) Decide(ctx context.Context, r *admit.Request) (*session.Terms, error) {
	p := c.plan.Load()
	if r.InProcess && !p.conf.InProcess || !p.asks(r) {
		return nil, nil //nolint:nilnil // as admit.Link has it
	}
	if err := bounded(r); err != nil {
		return nil, err
	}
	began := time.Now()
	v, result, err := c.decide(ctx, p, r)
	if c.metrics != nil && result != "" {
		c.metrics.Decided(result, time.Since(began))
	}
	if err != nil {
		return nil, err
	}
	return c.apply(p, r, v)
}

// NamesAreSecret implements admit.Renamer: the name that a publisher asks for may be its key where the service may
// rename the stream.
func (c *Client) NamesAreSecret(role session.Role) bool {
	p := c.plan.Load()
	return role == session.Publish && len(p.publish) > 0 && p.conf.namesAreSecret()
}

// decide returns a verdict with its result; the result is empty if the peer went away.
func (c *Client) decide(ctx context.Context, p *Plan, r *admit.Request) (*verdict, string, error) {
	asked := keysOf(r, p.format.Pairs)
	if v := c.recall(&c.fresh, asked.exact); v != nil && !r.Recheck {
		if time.Since(v.at) > sessionlessAllowed {
			v = v.unnamed()
		}
		return v, Cached, nil
	}
	v, err := c.ask(ctx, p, asked, r)
	switch {
	case err == nil && v.refusal != nil:
		return v, Denied, nil
	case err == nil:
		return v, Allowed, nil
	case ctx.Err() != nil:
		return nil, "", context.Cause(ctx)
	case errors.Is(err, errClosed):
		return nil, "", &session.Refusal{Reason: session.Shutdown, Err: err}
	}
	result := Failed
	if errors.Is(err, errKeepsFailing) {
		result = Skipped
	}
	v, err = c.instead(p, r, asked, err)
	return v, result, err
}

// instead returns what holds when the service failed with err.
func (c *Client) instead(p *Plan, r *admit.Request, asked keys, err error) (*verdict, error) {
	if r.Recheck {
		if p.endsUnanswered() && !errors.Is(err, errBusy) { // which is not the service's fault
			return nil, &session.Refusal{Reason: session.Revoked, Err: fmt.Errorf("the decision hook: %w", err)}
		}
		return nil, failed(err) // the session goes on under its terms: a service that fails withdraws nothing
	}
	switch p.conf.OnError {
	case "allow":
		c.log.Warn("let in without an answer of the decision hook", slog.String("role", r.Role.String()),
			slog.String("session", r.Session), slog.String("remote", r.Remote.String()), slog.String("err", shown(err)))
		return &verdict{terms: &session.Terms{By: By, Recheck: p.conf.Recheck, Paired: p.format.Pairs}}, nil
	case "last":
		if v := c.recall(&c.last, asked.credential); v != nil {
			return v.unnamed(), nil
		}
	}
	return nil, failed(err)
}

// failed refuses a peer because the service failed with err.
func failed(err error) error {
	return &session.Refusal{Reason: session.Hook, RetryAfter: retryFailed, Err: fmt.Errorf("the decision hook: %w", err)}
}

// retryFailed is when peers that were refused because the service failed are told to come again.
const retryFailed = 5 * time.Second

// shown returns an error for the log: a service's bytes may be in it.
func shown(err error) string { return session.ErrorText(err, 512) }

// apply makes of a verdict the answer for one peer.
func (c *Client) apply(p *Plan, r *admit.Request, v *verdict) (*session.Terms, error) {
	if v.refusal != nil {
		if r.Recheck {
			revoked := *v.refusal
			revoked.Reason = session.Revoked
			return nil, &revoked
		}
		return nil, v.refusal
	}
	t := v.terms
	if !t.Until.IsZero() && !t.Until.After(time.Now()) {
		return nil, &session.Refusal{Reason: session.Expired, Err: errors.New("the decision hook allowed it until a time that is over")}
	}
	if t.Path == "" || t.Path == r.Path || p.conf.Rename == "any" || r.Connects() && p.conf.Rename != "never" || p.conf.Rename == "entry" && c.may != nil && c.may(r.Path, t.Path) {
		return t, nil
	}
	err := fmt.Errorf("the decision hook renamed the stream to %q, which the entry of streams for the name asked for does not match: match both in one entry, or set auth.hook.rename to any",
		session.Printable(t.Path, 255))
	if p.conf.Rename == "never" {
		err = errors.New("the decision hook renamed the stream, and auth.hook.rename is never")
	}
	return nil, &session.Refusal{Reason: session.Hook, Err: err}
}

// bounded refuses a peer that shows more than is passed on.
func bounded(r *admit.Request) error {
	if len(r.RawQuery) > maxQuery || max(len(r.Credential.User), len(r.Credential.Secret), len(r.Credential.Token)) > maxShown {
		return &session.Refusal{
			Reason: session.TooLarge, Peer: "The query or the token is too long.",
			Err: fmt.Errorf("the peer shows a query of more than %d KiB or a credential of more than %d KiB", maxQuery>>10, maxShown>>10),
		}
	}
	return nil
}

// By is the Terms.By of what the service admitted.
const By = "hook"

// nameID tells the names that one public path was asked for by apart, without showing them.
func nameID(path string) string {
	sum := sha256.Sum256([]byte(path))
	return "sha256:" + hex.EncodeToString(sum[:8])
}

// verdict is what the service said: terms, or a refusal. It does not change.
type verdict struct {
	terms   *session.Terms
	refusal *session.Refusal
	cache   time.Duration
	at      time.Time // when it was said
}

// unnamed returns the verdict without the id of a session that had not begun: it is of another peer, or of one that is gone.
func (v *verdict) unnamed() *verdict {
	if v.terms == nil || v.terms.Session == "" {
		return v
	}
	other, terms := *v, *v.terms
	terms.Session, other.terms = "", &terms
	return &other
}

// holds returns how long the verdict on a question holds for the next one that is the same.
func (v *verdict) holds(r *admit.Request) time.Duration {
	switch {
	case r.Recheck: // what is said of a running session is said of no other
		return 0
	case v.cache > 0 || r.Session != "":
		return v.cache
	case v.refusal != nil:
		return sessionlessDenied
	}
	return sessionlessAllowed
}

// verdict makes one of an answer to a question about a peer.
func (p *Plan) verdict(r *admit.Request, a *hook.Answer) *verdict {
	if a.Allow {
		t := a.Terms
		t.By, t.Session, t.Paired = By, "", p.format.Pairs
		if r.Session == "" {
			t.Session = r.Offer
		}
		if t.Path != "" && t.Path != r.Path { // the name asked for was the key
			t.KeyID = nameID(r.Path)
		}
		if t.Recheck == 0 {
			t.Recheck = p.conf.Recheck
		}
		return &verdict{terms: &t, cache: a.Cache, at: time.Now()}
	}
	text := "the decision hook said no"
	if a.Status != 0 {
		text += fmt.Sprintf(" (status %d)", a.Status)
	}
	if a.Reason != "" {
		text += ": " + a.Reason
	}
	if a.Unread != "" {
		text += ": " + a.Unread
	}
	if a.From != "" {
		text += " (" + a.From + ")"
	}
	refusal := &session.Refusal{Reason: session.Denied, Peer: a.Reason, Err: errors.New(text)}
	switch a.Status {
	case http.StatusUnauthorized:
		refusal.Reason, refusal.Login = session.BadKey, true
		if a.Reason == "" { // the reason's own sentence is about keys
			refusal.Peer = "The login is missing or wrong."
		}
	case http.StatusNotFound, http.StatusGone:
		refusal.Reason = session.NotFound
	case http.StatusConflict:
		refusal.Reason = session.Conflict
	case http.StatusTooManyRequests:
		refusal.Reason, refusal.RetryAfter = session.Throttled, a.RetryAfter
		if a.Reason == "" { // the reason's own sentence is about wrong keys
			refusal.Peer = "Too many requests: wait before trying again."
		}
	}
	return &verdict{refusal: refusal, cache: max(a.Cache, a.RetryAfter)}
}
