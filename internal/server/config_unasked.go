package server

import (
	"fmt"

	"weir/internal/admit"
	"weir/internal/config"
	"weir/internal/hook/deliver"
	"weir/internal/session"
)

// warnUnasked tells of what could decide about peers and decides about none, as no entry of streams names it, and of hooks that
// wait for the ends of connections while nobody is asked about connections.
func (c *Config) warnUnasked() []error {
	errs := deliver.WarnDisconnects(c.Hooks, c.Auth.Hook.ConnectURL != "")
	h := &c.Auth.Hook
	for _, u := range []struct {
		field *string
		link  string
		roles []session.Role // which it decides about, if an entry lets it
	}{
		{&h.URL, admit.ByHook, []session.Role{session.Publish, session.Play}},
		{&h.PublishURL, admit.ByHook, []session.Role{session.Publish}},
		{&h.ForwardURL, admit.ByHook, []session.Role{session.Publish}},
		{&h.PlayURL, admit.ByHook, []session.Role{session.Play}},
		{&c.Auth.JWT.JWKS, admit.ByJWT, []session.Role{session.Publish, session.Play}},
		{&c.Auth.JWT.Secret, admit.ByJWT, []session.Role{session.Publish, session.Play}},
	} {
		if *u.field != "" && !c.named(u.link, u.roles) {
			errs = append(errs, unasked(u.field, u.link, u.roles))
		}
	}
	if both := []session.Role{session.Publish, session.Play}; len(c.Auth.Signed.Keys) > 0 && !c.named(admit.BySigned, both) {
		errs = append(errs, unasked(&c.Auth.Signed.Keys, admit.BySigned, both))
	}
	return errs
}

// named reports whether an entry of streams names a link of the chain for one of the roles.
func (c *Config) named(link string, roles []session.Role) bool {
	for i := range c.Streams {
		for _, role := range roles {
			rule := &c.Streams[i].Play.Rule
			if role == session.Publish {
				rule = &c.Streams[i].Publish.Rule
			}
			if rule.Asks(link) {
				return true
			}
		}
	}
	return false
}

// unasked is the warning about a key whose link no entry names for the roles.
func unasked(field any, link string, roles []session.Role) error {
	keys := fmt.Sprintf("%v: {auth: [%s]}", roles[0], link)
	if len(roles) > 1 {
		keys += fmt.Sprintf(" or %v: {auth: [%s]}", roles[1], link)
	}
	return config.Errorf(field, "it decides about nobody, because no entry of streams asks for it: whoever comes is let in where no key is asked for; write %s into the entries that it is for, such as one with match: \"**\"", keys)
}
