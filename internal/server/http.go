package server

import (
	"context"

	"weir/internal/admin"
	"weir/internal/httpserver"
	"weir/internal/protocol"
)

// openHTTP opens the HTTP listeners and the admin listener.
func (s *Server) openHTTP(routes []protocol.Route) error {
	c := &s.conf
	web := httpserver.New(httpserver.Config{
		Policy: func() *httpserver.Policy { return &s.current.Load().policy },
		Limits: func() httpserver.Limits {
			l := s.current.Load().conf.Limits
			return httpserver.Limits{Connections: l.Connections, ConnectionsPerAddress: l.ConnectionsPerIP, IdlePerAddress: l.PendingPerIP}
		},
		Refused: s.tooMany, Portable: c.Delivery.Portable, Log: s.log,
	}, routes)
	s.web = web
	ln, err := s.listen("http", c.HTTP.Listen)
	if err != nil {
		return err
	}
	web.Listen(ln)
	secure, conf, err := s.listenTLS("https", &c.HTTP.TLS)
	if err != nil {
		return err
	}
	web.ListenTLS(secure, conf)
	s.services = append(s.services, service{"http", web.Run})
	if ln, err = s.listen("admin", c.Admin.Listen); err != nil {
		return err
	}
	ac := admin.Config{
		Token: c.Admin.Token, Hosts: c.Admin.Hosts, Log: s.log,
		Hub: s.hub, Sessions: s.sessions, Metrics: s.metrics.Handler(), Ready: s.ready.Load, Protocols: ProtocolNames(), Instance: s.self.ID,
		Health: s.findings, FrameRate: s.health.FrameRate, Events: s.events, Hooks: adminHooks{s.hooks}, Keys: s.keys, Pulls: adminPulls{s.pulls}, Pushes: adminPushes{s.push},
		Recorders: adminRecorders{s.records}, Recordings: recordings{s.archive},
	}
	if from := s.opt.Configuration; from != nil {
		ac.Configuration = configurationAPI{from}
	}
	s.admin = admin.New(ac)
	s.services = append(s.services,
		service{"admin", func(ctx context.Context) error { return httpserver.Serve(ctx, ln, s.admin, s.log) }},
		service{"admin events", s.admin.Run})
	return nil
}
