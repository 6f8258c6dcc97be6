package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/config"
	"weir/internal/http1"
	"weir/internal/protocol"
)

const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 60 * time.Second
	answerTime     = 2 * time.Minute
	maxHeaderBytes = 32 << 10
)

// playback is the HTTP listeners on which streams are played: one dispatcher before the
// routes of every protocol that is spoken over HTTP.
type playback struct {
	conf   HTTPConfig
	log    *slog.Logger
	routes []protocol.Route
	crowd  crowdLimit
	lns    []net.Listener
}

// newPlayback opens the listeners.
func newPlayback(conf HTTPConfig, log *slog.Logger, routes []protocol.Route, portable bool, crowd crowdLimit,
	listen func(proto, addr string) (net.Listener, error), load func(cert, key string) (*tls.Config, error),
) (*playback, error) {
	p := &playback{conf: conf, log: log, routes: routes, crowd: crowd}
	if conf.Listen != "" {
		ln, err := listen("http", conf.Listen)
		if err != nil {
			return nil, err
		}
		p.lns = append(p.lns, ln)
	}
	if conf.TLS.Cert != "" && conf.TLS.Listen != "" {
		tlsConf, err := load(conf.TLS.Cert, conf.TLS.Key)
		var ln net.Listener
		if err == nil {
			tlsConf.NextProtos = []string{"h2", "http/1.1"}
			ln, err = listen("https", conf.TLS.Listen)
		}
		if err != nil {
			p.close()
			return nil, err
		}
		p.lns = append(p.lns, &tlsListener{ln, tlsConf, portable})
	}
	return p, nil
}

func (p *playback) close() {
	for _, ln := range p.lns {
		_ = ln.Close()
	}
}

// tlsListener makes connections that the delivery engine can send to.
type tlsListener struct {
	net.Listener
	conf     *tls.Config
	portable bool
}

// Accept implements net.Listener.
func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return protocol.WrapTLS(c, l.conf, l.portable), nil
}

// run serves until ctx ends.
func (p *playback) run(ctx context.Context) error {
	lns := slices.Clone(p.lns)
	var fronts []*http1.Front
	for i, ln := range lns {
		if _, isTLS := ln.(*tlsListener); isTLS {
			continue
		}
		f := http1.New(ln, http1.Config{
			Handler: http.HandlerFunc(p.dispatch), Prepare: p.context,
			FirstTime: headerTimeout, IdleTime: idleTimeout, WriteTime: answerTime, Log: p.log,
			Most: p.crowd.most, Refused: p.crowd.refused,
		})
		lns[i], fronts = f, append(fronts, f)
	}
	return serveHTTP(ctx, lns, fronts, p, p.log, p.crowd.watch())
}

// crowdLimit bounds the connections that may be open at once to a kind of listener: those that
// internal/http1 serves, and those that net/http does.
type crowdLimit struct {
	most    int // 0 is no limit
	refused func(remote net.Addr)
}

// watch returns what counts net/http's connections and closes those too many.
func (l crowdLimit) watch() func(net.Conn, http.ConnState) {
	var n atomic.Int64
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if now := n.Add(1); l.most > 0 && now > int64(l.most) {
				_ = c.Close()
				l.refused(c.RemoteAddr())
			}
		case http.StateHijacked, http.StateClosed:
			n.Add(-1)
		}
	}
}

// serveHTTP serves h on listeners until ctx ends; requests in progress, and those of fronts, get
// a second to end.
func serveHTTP(ctx context.Context, lns []net.Listener, fronts []*http1.Front, h http.Handler, log *slog.Logger, watch func(net.Conn, http.ConnState)) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), ConnState: watch,
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, ln := range lns {
		wg.Go(func() {
			if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	bounded, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer stop()
	for _, f := range fronts {
		wg.Go(func() { f.Shutdown(bounded) })
	}
	defer wg.Wait() // before bounded is over for other reasons than its time
	if srv.Shutdown(bounded) != nil {
		_ = srv.Close()
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// ServeHTTP answers a request that net/http has read.
func (p *playback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 { // the deadline is the connection's
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	}
	p.dispatch(w, r.WithContext(p.context(r)))
}

// context returns the context of a request, with what does not differ between requests of the
// same header fields.
func (p *playback) context(r *http.Request) context.Context {
	return protocol.WithRemote(r.Context(), p.remote(r))
}

// dispatch finds the route of a request: the one that accounts for most of its path.
func (p *playback) dispatch(w http.ResponseWriter, r *http.Request) {
	if !p.allowOrigin(w, r) {
		http.Error(w, "pages of this origin may not play", http.StatusForbidden)
		return
	}
	upgrade := strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	var best *protocol.Route
	var path string
	heaviest := 0
	for i := range p.routes {
		rt := &p.routes[i]
		stream, weight, ok := rt.Match(r.URL.Path)
		if !ok || best != nil && weight <= heaviest {
			continue
		}
		if rt.WebSocket == upgrade && (r.Method == rt.Method || r.Method == http.MethodHead && rt.Method == http.MethodGet) {
			best, path, heaviest = rt, stream, weight
		}
	}
	if best == nil {
		p.explain(w, r)
		return
	}
	if best.Place != "" {
		best.Handler(w, r, path)
		return
	}
	if err := protocol.CheckPath(path); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	best.Handler(w, r, path)
}

// explain answers a request that has no route of its method.
func (p *playback) explain(w http.ResponseWriter, r *http.Request) {
	methods := []string{http.MethodOptions}
	for i := range p.routes {
		if _, _, ok := p.routes[i].Match(r.URL.Path); ok {
			methods = append(methods, p.routes[i].Method)
		}
	}
	switch {
	case len(methods) == 1:
		http.Error(w, "there is nothing here; a stream is played at /APP/NAME.flv", http.StatusNotFound)
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", allowed(methods))
		w.Header().Set("Access-Control-Allow-Methods", allowed(methods))
		w.Header().Set("Access-Control-Allow-Headers", "Range, Authorization")
		w.Header().Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", allowed(methods))
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

func allowed(methods []string) string {
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}

// allowOrigin answers for cross-origin requests; it reports false for a page that may not play.
func (p *playback) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	all := slices.Contains(p.conf.CORS, "*")
	if !all {
		w.Header().Add("Vary", "Origin")
	}
	switch {
	case all:
		w.Header()["Access-Control-Allow-Origin"] = anyOrigin
	case origin == "":
		return true
	case slices.Contains(p.conf.CORS, origin):
		w.Header().Set("Access-Control-Allow-Origin", origin)
	default:
		return strings.EqualFold(strings.TrimPrefix(strings.TrimPrefix(origin, "https://"), "http://"), r.Host)
	}
	w.Header()["Access-Control-Expose-Headers"] = exposed
	return true
}

// Header fields that are the same in each answer, which shares them.
var (
	anyOrigin = []string{"*"}
	exposed   = []string{"Content-Type, Retry-After"}
)

// remote returns the viewer's address: the last one in X-Forwarded-For that is not a trusted
// proxy's, if the request came from one.
func (p *playback) remote(r *http.Request) netip.AddrPort {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	if !trusted(p.conf.TrustedProxies, peer.Addr()) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		peer = netip.AddrPortFrom(a.Unmap(), 0)
		if !trusted(p.conf.TrustedProxies, a) {
			break
		}
	}
	return peer
}

func trusted(ranges []config.CIDR, a netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(c config.CIDR) bool { return c.Contains(a) })
}
