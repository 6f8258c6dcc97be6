package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"weir/internal/event"
	"weir/internal/hook"
)

// poster sends events by HTTP.
type poster struct {
	client  *hook.Client
	target  hook.Target
	secrets []hook.Secret
	ome     string // OvenMediaEngine's SecretKey; empty for none
	batch   bool
	format  *hook.Format // nil: our own
	wants   func(call string) bool
	server  hook.Server

	mu   sync.Mutex       // guards below; a leaf
	sent map[string]begun // events of which some calls were answered and others were not, by their ids
}

// begun is what became of the first of several calls.
type begun struct {
	answered int    // how many they are
	refused  result // of one that was refused; its err is nil for none
}

// newPoster fails if the certificates cannot be read.
func newPoster(c *Config, server hook.Server) (*poster, error) {
	p := &poster{batch: c.Batch > 1, wants: c.wants, server: server, sent: map[string]begun{}}
	var err error
	if p.target, err = hook.ParseTarget(c.URL); err != nil {
		return nil, err
	}
	for i, s := range []string{c.Secret, c.OldSecret} {
		if s == "" {
			continue
		}
		if c.Format == formatOME && i == 0 {
			p.ome = s
			continue
		}
		secret, err := hook.ParseSecret(s)
		if err != nil {
			return nil, err
		}
		p.secrets = append(p.secrets, secret)
	}
	if c.Format != "weir" {
		p.format = hook.FormatNamed(c.Format)
	}
	p.client, err = hook.NewClient(hook.ClientConfig{CA: c.CA, Timeout: c.timeout()})
	return p, err
}

func (p *poster) close() { p.client.Close() }

func (p *poster) send(ctx context.Context, items []*item, _ int) result {
	if p.format != nil {
		return p.translate(ctx, items[0])
	}
	id, body := items[0].id, items[0].body
	if p.batch {
		// Another batch that begins with the same event, after a restart, is another message.
		id, body = id+"-"+strconv.Itoa(len(items)), array(items)
	}
	header := hook.Sign(p.secrets, id, time.Now(), body)
	header.Set("Content-Type", "application/json")
	reply, err := p.client.Do(ctx, &hook.Call{Target: p.target, Method: http.MethodPost, Header: header, Body: body})
	if err != nil {
		return result{err: err}
	}
	return resultOf(reply)
}

// array writes several envelopes as a JSON array.
func array(items []*item) []byte {
	bodies := make([][]byte, len(items))
	for i, it := range items {
		bodies[i] = it.body
	}
	return append(append([]byte{'['}, bytes.Join(bodies, []byte(","))...), ']')
}

// resultOf reads the answer of a receiver of our own format: 2xx is received, 410 is the end.
func resultOf(r *hook.Reply) result {
	res := result{status: r.Status}
	switch {
	case r.Status >= 200 && r.Status < 300:
		return res
	case r.Status == http.StatusGone:
		res.off = true
	case r.Status == http.StatusTooManyRequests, r.Status == http.StatusServiceUnavailable:
		res.wait = hook.RetryAfter(r.Header.Get("Retry-After"), time.Now())
	}
	res.err = fmt.Errorf("the receiver answered %d %s", r.Status, http.StatusText(r.Status))
	return res
}

// knows reports whether the other server would tell of an event.
func (p *poster) knows(e *event.Event) bool { return len(p.calls(e)) > 0 }

// calls returns those that tell of an event, as far as the hook wants them.
func (p *poster) calls(e *event.Event) []*hook.Call {
	return slices.DeleteFunc(p.format.EncodeEvent(e, p.server), func(c *hook.Call) bool { return c.Name != "" && !p.wants(c.Name) })
}

// sign signs one of the calls that an event takes in another server's format.
func (p *poster) sign(call *hook.Call, id string, i int) {
	if p.ome != "" {
		call.SignOME(p.ome)
	}
	if len(p.secrets) == 0 {
		return
	}
	if i > 0 { // another call is another message
		id += "-" + strconv.Itoa(i+1)
	}
	for k, v := range hook.Sign(p.secrets, id, time.Now(), call.Body) {
		call.Header[k] = v
	}
}

// refused reports whether a receiver says that it does not take what comes from us: the secret is wrong, or a proxy wants
// a password.
func refused(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// translate sends an event as another server does, which may take several calls. Those servers ignore
// what is answered, and so do we unless the receiver says that it failed, or that it does not let us in. The latter is not
// tried again: some of these services answer so to all that they do not know, and the stream's next events would wait.
func (p *poster) translate(ctx context.Context, it *item) (res result) {
	var v envelope
	if err := json.Unmarshal(it.body, &v); err != nil {
		return result{err: err, final: true}
	}
	e := v.event()
	if e.Session != nil {
		e.Session.Shown = it.shown
	}
	p.mu.Lock()
	before := p.sent[it.id]
	delete(p.sent, it.id)
	p.mu.Unlock()
	refusal := before.refused
	for i, call := range p.calls(&e) {
		if i < before.answered {
			continue
		}
		call.Target = p.target
		p.sign(call, it.id, i)
		reply, err := p.client.Do(ctx, call)
		if err == nil {
			answered := fmt.Errorf("the receiver answered %d %s", reply.Status, http.StatusText(reply.Status))
			switch {
			case reply.Status >= 500 || reply.Status == http.StatusTooManyRequests:
				res.wait = hook.RetryAfter(reply.Header.Get("Retry-After"), time.Now())
				err = answered
			case refused(reply.Status):
				refusal = result{status: reply.Status, err: answered, final: true}
			}
			res.status = reply.Status
		}
		if err != nil {
			p.mu.Lock()
			p.sent[it.id] = begun{i, refusal}
			p.mu.Unlock()
			res.err = err
			return res
		}
	}
	if refusal.err != nil {
		return refusal
	}
	return res
}
