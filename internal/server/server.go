// Package server builds the whole server from its configuration, runs it and stops it.
package server

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/admin"
	"weir/internal/admit"
	"weir/internal/archive"
	"weir/internal/event"
	"weir/internal/fanout"
	"weir/internal/health"
	"weir/internal/hook"
	"weir/internal/hook/decide"
	"weir/internal/hook/deliver"
	"weir/internal/httpserver"
	"weir/internal/intake"
	"weir/internal/loglimit"
	"weir/internal/metrics"
	"weir/internal/mux"
	"weir/internal/peer"
	"weir/internal/protocol"
	"weir/internal/pull"
	"weir/internal/push"
	"weir/internal/record"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/internal/trace"
)

// Options are what a program that runs the server may add to its configuration.
type Options struct {
	Log *slog.Logger
	// Admit, if not nil, is asked about each publisher and player that the configured
	// rules let in. nil terms add nothing to theirs.
	Admit func(ctx context.Context, r *admit.Request) (*session.Terms, error)
	// Level, if not nil, is set to log.level, now and whenever it changes.
	Level *slog.LevelVar
	// Configuration, if not nil, is where the configuration was read. The server reads it again when it is
	// asked to, or when it changes.
	Configuration *Configuration
	// Notify, if not nil, is told of the events of streams. It must not block.
	Notify func(stream.Event)
}

// Server is a server that has opened its listeners.
type Server struct {
	conf       Config
	opt        Options
	log        *slog.Logger
	self       hook.Server // how others know this server
	gate       *admit.Gate
	decision   *decide.Client
	removed    removedKeys
	keys       admin.Keys
	current    atomic.Pointer[settings]
	changing   sync.Mutex // held by Reload
	applying   sync.Mutex // held while a Change is applied; guards limited, wanted and waits
	wanted     Config     // what is to be in force after a restart
	waits      bool       // that is another than the one in force
	limited    bool       // by limits.memory
	memory     int64      // the limit of the heap without it
	engine     *fanout.Engine
	pacer      *intake.Pacer
	poller     *intake.Poller
	web        *httpserver.Server
	admin      *admin.Server
	retracked  []func(path string)
	mediaBytes []func() int64
	hub        *stream.Hub
	mux        *mux.Set
	sessions   *session.Registry
	events     *event.Bus
	tracker    *event.Tracker
	hooks      *deliver.Deliverer
	push       *push.Manager
	metrics    *metrics.Metrics
	health     *health.Monitor
	records    *record.Manager
	archive    *archive.Archive
	traces     *trace.Exporter // nil: none are sent
	pulls      *pull.Manager
	services   []service
	viewers    viewers
	reserved   peer.Reserved
	running    [][]protocol.Protocol // of each folder
	listeners  map[string]*listener  // by name; none is added after New
	ready      atomic.Bool

	life sync.Mutex // guards below
	stop context.CancelCauseFunc
	over chan struct{} // closed once all of Run or Close is done; nil before both
}

// service is something that runs until its context ends.
type service struct {
	name string
	run  func(context.Context) error
}

// New builds a server and opens its listeners. Run or Close closes them.
func New(conf Config, opt Options) (*Server, error) {
	s := &Server{conf: conf, opt: opt, log: opt.Log, self: identity(), memory: debug.SetMemoryLimit(-1), listeners: map[string]*listener{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = slog.New(loglimit.New(s.log.Handler()))
	first, err := newSettings(&conf)
	if err != nil {
		return nil, err
	}
	s.current.Store(first)
	if !conf.Delivery.Portable {
		if s.poller, err = intake.NewPoller(); err != nil {
			return nil, err
		}
	}
	if s.archive, err = s.newArchive(); err != nil {
		if s.poller != nil {
			s.poller.Close()
		}
		return nil, err
	}
	s.build()
	if s.traces, err = s.newTraces(); err != nil {
		s.release()
		return nil, err
	}
	if s.pulls, err = s.newPulls(); err != nil {
		s.release()
		return nil, err
	}
	if c := opt.Configuration; c != nil {
		c.serve(s)
		s.services = append(s.services, service{"configuration", c.watch})
	}
	if s.hooks, err = deliver.New(conf.Hooks, deliver.Options{Log: s.log, Bus: s.events, Metrics: s.metrics, Server: s.self, State: conf.State}); err != nil {
		s.release()
		return nil, err
	}
	if err := s.buildPush(); err != nil {
		s.release()
		return nil, err
	}
	if err := s.buildGate(first); err != nil {
		s.release()
		return nil, err
	}
	if err := s.open(); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// build makes everything that opens no listener.
func (s *Server) build() {
	c := &s.conf
	s.metrics = metrics.New(s.sources())
	s.events = event.NewBus()
	s.tracker = event.NewTracker(s.events)
	s.engine = fanout.New(fanout.Options{
		Workers: c.Delivery.Workers, MinDelay: c.Delivery.MinDelay, MaxDelay: c.Delivery.MaxDelay,
		Hooks: fanout.Hooks{FirstSent: s.firstSent},
	})
	s.pacer = intake.NewPacer(0)
	s.hub = stream.New(stream.Options{
		Settings: func(path string) stream.Settings { return s.streamConfig(path).settings() },
		Limits:   c.Limits.streams(),
		Notify:   s.notify,
	})
	s.mux = mux.NewSet(s.engine, func(path string) fanout.SlowPolicy { return s.streamConfig(path).slow() })
	s.sessions = session.New(c.sessionLimits(), s.observer())
	s.health = health.NewMonitor(health.Options{Streams: s.hub.List, Changed: s.healthChanged})
	s.records = s.newRecords()
	s.setGlobals(c)
}

// open opens the listeners.
func (s *Server) open() error {
	var routes []protocol.Route
	for i, f := range s.conf.folders() {
		s.running = append(s.running, nil)
		for _, p := range f.Protocols() {
			env := s.env(p.Name)
			env.Settings = func(path string) any { return f.settings(s.streamConfig(path)) }
			proto, err := p.New(env)
			if err != nil {
				return err
			}
			s.running[i] = append(s.running[i], proto)
			if r, ok := proto.(protocol.Router); ok {
				routes = append(routes, r.Routes()...)
			}
			if r, ok := proto.(protocol.Retracker); ok {
				s.retracked = append(s.retracked, r.Retracked)
			}
			if h, ok := proto.(protocol.MediaKeeper); ok {
				s.mediaBytes = append(s.mediaBytes, h.MediaBytes)
			}
			s.services = append(s.services, service{p.Name, proto.Run})
		}
	}
	for _, p := range pageTable {
		answers, err := p.new(s.env(p.name), s)
		if err != nil {
			return err
		}
		routes = append(routes, answers.Routes()...)
		s.services = append(s.services, service{p.name, answers.Run})
	}
	for i := range routes {
		if r := &routes[i]; r.Resource != nil {
			s.reserved.AddResource(r.Resource)
		} else {
			s.reserved.AddSuffix(r.Suffix)
		}
	}
	if err := s.openHTTP(routes); err != nil {
		return err
	}
	s.services = append(s.services, service{"memory", s.trim}, service{"summary", s.summarize}, service{"lags", s.sampleLags},
		service{"health", s.health.Run}, service{"rates", s.measure}, service{"archive", s.archive.Run}, service{"recordings", s.runRecords}, service{"pulls", s.pulls.Run})
	return nil
}

// door is what lets the peers of a protocol in.
func (s *Server) door(name string) *peer.Door {
	return &peer.Door{
		Name: name, Server: s.self.ID, Log: s.log.With(slog.String("protocol", name)),
		Hub: s.hub, Mux: s.mux, Engine: s.engine, Sessions: s.sessions, Metrics: s.metrics,
		Admit: s.admit, SecretName: s.gate.SecretName, Hides: s.gate.Hides,
		Users:    s.gate,
		Reserved: &s.reserved,
		Want:     s.want,
		Missing:  func(path string) error { return s.pulls.Missing(path) },
		Wait:     func(path string) time.Duration { return s.streamConfig(path).Play.Wait },
		Start:    s.start,
		Repair:   func(path string) bool { return s.streamConfig(path).Repair },
		Portable: s.conf.Delivery.Portable,
		Poller:   s.poller,
		Refused:  s.refused,
		Skipped:  s.tracker.Skipped,
		Began:    s.allowed,
		Gone:     s.tracker.Gone,
		Connects: s.connects,
		Keeps:    func() bool { return s.hooks.Queries() },
	}
}

// connects asks the decision hook about a connection before it names a stream.
func (s *Server) connects(ctx context.Context, r *admit.Request) (app string, asked bool, err error) {
	terms, err := s.decision.Decide(ctx, r)
	switch {
	case err != nil || terms == nil:
		return r.Path, false, err
	case terms.Path != "":
		return terms.Path, true, nil
	}
	return r.Path, true, nil
}

// start returns where players of a stream begin that do not say so.
func (s *Server) start(path string) peer.Start {
	start, _ := peer.ParseStart(s.streamConfig(path).Play.Start) // one of the words: it was validated
	return start
}

// env is what a protocol gets.
func (s *Server) env(name string) protocol.Env {
	return protocol.Env{
		Door: s.door(name), Bitrate: func() int64 { return s.current.Load().conf.Limits.StreamBitrate }, Pacer: s.pacer, Segments: segments{s},
		Listen: s.listen, ListenTLS: s.listenTLS,
	}
}

// admit decides about a peer, and counts the decision. A peer within the program needs no key; the decision hook is
// asked about it if the configuration says so.
func (s *Server) admit(ctx context.Context, r *admit.Request) (session.Grant, error) {
	if r.InProcess && r.Recheck {
		return s.decide(ctx, r)
	}
	if r.InProcess {
		rules := s.gate.Rules()
		grant := session.Grant{Entry: rules.Match(r.Path), Hidden: s.gate.Hides(r)}
		var err error
		if r.Protocol == ofProgram && rules.Asks(grant.Entry, r.Role, admit.ByHook) { // what the server fetches itself is not asked about
			grant.Terms, err = s.decision.Decide(ctx, r)
		}
		return grant, err
	}
	begin := time.Now()
	grant, err := s.decide(ctx, r)
	result := metrics.Allowed
	if err != nil {
		result = session.ReasonOf(err).String()
	}
	s.metrics.Decided(result, r.Session, time.Since(begin))
	s.traceDecision(r, begin, result)
	if err != nil {
		return grant, err
	}
	return s.bounded(r.Role, r.Path, grant), nil
}

// decide asks the configured rules, then the program. Of a session that runs, those who want to be asked again are.
func (s *Server) decide(ctx context.Context, r *admit.Request) (session.Grant, error) {
	if r.Recheck {
		r.Grant.Entry = s.gate.Rules().Match(r.Path)
		return r.Grant.Again(func(last *session.Terms) (*session.Terms, error) {
			if last.By == byProgram {
				return s.ask(ctx, r)
			}
			return s.gate.Again(ctx, r, last)
		})
	}
	grant, err := s.gate.Admit(ctx, r)
	if err != nil || s.opt.Admit == nil {
		return grant, err
	}
	terms, err := s.ask(ctx, r)
	return grant.And(terms), err
}

// openTo reports whether everybody at an address may play a stream, so that neither a link nor the program need be asked.
func (s *Server) openTo(path string, from netip.Addr) bool {
	return s.opt.Admit == nil && s.gate.Open(path, from)
}

// byProgram is Terms.By of what the program admitted.
const byProgram = "program"

// ask asks the program about a peer.
func (s *Server) ask(ctx context.Context, r *admit.Request) (*session.Terms, error) {
	terms, err := s.opt.Admit(ctx, r)
	if err != nil {
		return nil, &session.Refusal{Reason: session.Denied, Peer: err.Error(), Err: err}
	}
	return terms, nil
}

// Configuration returns where the configuration was read, nil if nobody has said so.
func (s *Server) Configuration() *Configuration { return s.opt.Configuration }

// InProcess is the door for publishers and players within the program.
func (s *Server) InProcess() *peer.Door { return s.door(ofProgram) }

// ofProgram is the protocol of what the program publishes and plays itself.
const ofProgram = "in-process"

// Events is the bus of what happens in the server.
func (s *Server) Events() *event.Bus { return s.events }
