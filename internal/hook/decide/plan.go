package decide

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"weir/internal/admit"
	"weir/internal/hook"
	"weir/internal/session"
)

// Plan is a configuration, ready to be used. It does not change.
type Plan struct {
	conf    Config
	format  *hook.Format
	publish hook.Target
	play    hook.Target
	secrets []hook.Secret
	http    *hook.Client
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
	for role, t := range map[session.Role]*hook.Target{session.Publish: &p.publish, session.Play: &p.play} {
		if u := conf.url(role); u != "" {
			var err error
			if *t, err = hook.ParseTarget(u); err != nil {
				return nil, fmt.Errorf("auth.hook: %w", err)
			}
		}
	}
	var err error
	if p.secrets, err = conf.secrets(); err != nil {
		return nil, err
	}
	if p.http, err = hook.NewClient(hook.ClientConfig{CA: conf.CA}); err != nil {
		return nil, err
	}
	return p, nil
}

// target returns whom to ask about a role.
func (p *Plan) target(role session.Role) hook.Target {
	if role == session.Publish {
		return p.publish
	}
	return p.play
}

// put asks the service one question and reads its answer.
func (p *Plan) put(ctx context.Context, server hook.Server, r *admit.Request) (*hook.Answer, error) {
	q := &hook.Question{Request: r, ID: rand.Text(), Time: time.Now(), Deadline: p.conf.Timeout, Server: server}
	call := p.format.EncodeDecision(q)
	call.Target = p.target(r.Role)
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
	a, err := p.format.DecodeDecision(q, reply)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call.Target, err)
	}
	return a, nil
}
