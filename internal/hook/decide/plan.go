package decide

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"weir/internal/admit"
	"weir/internal/hook"
	"weir/internal/session"
)

// Plan is a configuration, ready to be used. It does not change.
type Plan struct {
	conf    Config
	format  *hook.Format
	secrets []hook.Secret
	// All of each must agree.
	publish, play, update, connect, forward []hook.Target
	http                                    *hook.Client
}

// NewPlan makes everything ready to ask the service of a configuration. That of one which is not Enabled asks nobody.
func NewPlan(conf Config) (*Plan, error) {
	if !conf.Enabled() {
		return &Plan{}, nil
	}
	if err := conf.Validate(); err != nil {
		return nil, err
	}
	p := &Plan{conf: conf, format: hook.FormatNamed(conf.Format)}
	var err error
	for _, t := range []struct {
		to  *[]hook.Target
		url string
	}{{&p.publish, conf.url(session.Publish)}, {&p.play, conf.url(session.Play)}, {&p.update, conf.UpdateURL}, {&p.connect, conf.ConnectURL}, {&p.forward, conf.ForwardURL}} {
		if *t.to, err = conf.targets(t.url); err != nil {
			return nil, fmt.Errorf("auth.hook: %w", err)
		}
	}
	if p.secrets, err = conf.secrets(); err != nil {
		return nil, err
	}
	if p.http, err = hook.NewClient(hook.ClientConfig{CA: conf.CA}); err != nil {
		return nil, err
	}
	return p, nil
}

// targets returns whom to ask about a request; nobody if there are none.
func (p *Plan) targets(r *admit.Request) []hook.Target {
	first := p.play
	switch {
	case r.Connects():
		return p.connect
	case r.Role == session.Publish:
		first = p.publish
	}
	if r.Recheck && len(first) > 0 && len(p.update) > 0 {
		return p.update
	}
	return first
}

// all returns every service that may be asked.
func (p *Plan) all() []hook.Target {
	return slices.Concat(p.publish, p.play, p.update, p.connect, p.forward)
}

// asks reports whether there is somebody to ask about a request.
func (p *Plan) asks(r *admit.Request) bool { return len(p.targets(r)) > 0 || len(p.forwards(r)) > 0 }

// forwards returns whom to ask where a publisher's stream is also sent; nobody for other requests.
func (p *Plan) forwards(r *admit.Request) []hook.Target {
	if r.Role != session.Publish || r.Recheck {
		return nil
	}
	return p.forward
}

// put asks one service after the other, until one denies, and returns the last answer, with the pushes of all. let says that those that
// decide about the peer have let it in, also if what is asked afterwards is denied or fails.
func (p *Plan) put(ctx context.Context, server hook.Server, r *admit.Request) (a *hook.Answer, let bool, err error) {
	for _, t := range p.targets(r) {
		if a, err = p.putTo(ctx, t, server, r, p.format.DecodeDecision, p.encode); err != nil || !a.Allow {
			return a, false, err
		}
		let = true
	}
	for _, t := range p.forwards(r) {
		before := a
		if a, err = p.putTo(ctx, t, server, r, p.format.DecodeForward, p.format.EncodeForward); err != nil || !a.Allow {
			return a, let, err
		}
		if before != nil {
			before.Terms.Push = append(before.Terms.Push, a.Terms.Push...)
			a = before
		}
	}
	return a, let || a.Allow, nil
}

// putTo asks one service a question, which encode writes, and reads its answer by decode.
func (p *Plan) putTo(ctx context.Context, to hook.Target, server hook.Server, r *admit.Request,
	decode func(*hook.Question, *hook.Reply) (*hook.Answer, error), encode func(*hook.Question) *hook.Call,
) (*hook.Answer, error) {
	if r.Session == "" && r.Offer != "" {
		named := *r
		named.Session = r.Offer
		r = &named
	}
	q := &hook.Question{Request: r, ID: rand.Text(), Time: time.Now(), Deadline: p.conf.Timeout, Server: server}
	call := encode(q)
	call.Target = to
	if p.conf.Method == "get" {
		call = call.AsGet()
	}
	if p.conf.Format == "ome" && p.conf.Secret != "" {
		call.SignOME(p.conf.Secret)
	}
	if len(p.secrets) > 0 {
		for k, v := range hook.Sign(p.secrets, q.ID, q.Time, call.Body) {
			call.Header[k] = v
		}
	}
	reply, err := p.http.Do(ctx, call)
	if err != nil {
		return nil, err
	}
	if r.Recheck && p.conf.Update == "strict" && p.conf.Format == "nginx-rtmp" && reply.Status/100 != 2 {
		return &hook.Answer{Status: reply.Status, From: call.From()}, nil
	}
	a, err := decode(q, reply)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call.Target, err)
	}
	a.From = call.From()
	return a, nil
}

// encode writes a question.
func (p *Plan) encode(q *hook.Question) *hook.Call {
	if q.Connects() {
		return p.format.EncodeConnect(q)
	}
	return p.format.EncodeDecision(q)
}

// endsUnanswered reports whether a session ends when a service fails to answer what it is asked about it again.
func (p *Plan) endsUnanswered() bool {
	return p.conf.Format == "nginx-rtmp" && p.conf.Update != "lenient"
}
