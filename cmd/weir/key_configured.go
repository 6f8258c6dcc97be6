package main

import (
	"fmt"
	"time"

	"weir"
	"weir/internal/admit"
	"weir/internal/session"
)

// configuredKeys returns the keys of the configuration, and where each is.
func configuredKeys(c *weir.Configuration) []listedKey {
	var list []listedKey
	conf := c.Config()
	for i := range conf.Streams {
		e := &conf.Streams[i]
		for _, of := range []struct {
			role session.Role
			keys []admit.Key
		}{{session.Publish, e.Publish.Keys}, {session.Play, e.Play.Keys}} {
			for j := range of.keys {
				k := &of.keys[j]
				l := listedKey{ID: k.ID, Role: of.role.String(), Match: e.Match, Path: k.Path, Label: k.Label, State: "valid", Expires: k.Expires}
				if !k.Expires.IsZero() && !time.Now().Before(k.Expires) {
					l.State = "expired"
				}
				at := fmt.Sprintf("streams.%d.%v.keys.%d", i, of.role, j)
				for _, part := range []string{".id", ".key", ".hash", ".user", ""} {
					if o := c.Origin(at + part); o != "default" {
						l.Where = o
						break
					}
				}
				list = append(list, l)
			}
		}
	}
	return list
}
