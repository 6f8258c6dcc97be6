package server

import (
	"context"
	"crypto/tls"
	"net"

	"weir/internal/admin"
	"weir/internal/httpserver"
	"weir/internal/protocol"
)

// openHTTP opens the HTTP listeners and the admin listener.
func (s *Server) openHTTP(routes []protocol.Route, open func(proto, addr string) (net.Listener, error), load func(cert, key string) (*tls.Config, error)) error {
	c := &s.conf
	web := httpserver.New(httpserver.Config{
		CORS: c.HTTP.CORS, TrustedProxies: c.HTTP.TrustedProxies,
		Limits: func() httpserver.Limits {
			l := s.current.Load().conf.Limits
			return httpserver.Limits{Connections: l.Connections, ConnectionsPerAddress: l.ConnectionsPerIP, IdlePerAddress: l.PendingPerIP}
		},
		Refused: s.tooMany, Portable: c.Delivery.Portable, Log: s.log,
	}, routes)
	s.web = web
	if c.HTTP.Listen != "" {
		ln, err := open("http", c.HTTP.Listen)
		if err != nil {
			return err
		}
		web.Listen(ln)
	}
	if c.HTTP.TLS.Enabled() {
		conf, err := load(c.HTTP.TLS.Cert, c.HTTP.TLS.Key)
		if err != nil {
			return err
		}
		ln, err := open("https", c.HTTP.TLS.Listen)
		if err != nil {
			return err
		}
		web.ListenTLS(ln, conf)
	}
	s.services = append(s.services, service{"http", web.Run})
	if c.Admin.Listen == "" {
		return nil
	}
	ln, err := open("admin", c.Admin.Listen)
	if err != nil {
		return err
	}
	a := admin.New(admin.Config{
		Token: c.Admin.Token, Hosts: c.Admin.Hosts, Log: s.log,
		Hub: s.hub, Sessions: s.sessions, Metrics: s.metrics.Handler(), Ready: s.ready.Load, Protocols: ProtocolNames(),
		Health: s.findings, Events: s.events, Hooks: adminHooks{s.hooks}, Keys: s.keys,
	})
	s.services = append(s.services,
		service{"admin", func(ctx context.Context) error { return httpserver.Serve(ctx, ln, a, s.log) }},
		service{"admin events", a.Run})
	return nil
}
