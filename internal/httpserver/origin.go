package httpserver

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// allowOrigin sets the header fields for a cross-origin request. It reports false for a page that
// may not play.
func (s *Server) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	all := slices.Contains(s.conf.CORS, "*")
	if !all {
		w.Header().Add("Vary", "Origin")
	}
	switch {
	case all:
		w.Header()["Access-Control-Allow-Origin"] = anyOrigin
	case origin == "":
		return true
	case slices.Contains(s.conf.CORS, origin):
		w.Header().Set("Access-Control-Allow-Origin", origin)
	default:
		return strings.EqualFold(strings.TrimPrefix(strings.TrimPrefix(origin, "https://"), "http://"), r.Host)
	}
	w.Header()["Access-Control-Expose-Headers"] = exposed
	return true
}

// Header fields that all answers share.
var (
	anyOrigin = []string{"*"}
	exposed   = []string{"Content-Type, Retry-After"}
)

// remote returns the viewer's address: the last one in X-Forwarded-For that is not a trusted
// proxy's, if the request came from one.
func (s *Server) remote(r *http.Request) netip.AddrPort {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	if !trusted(s.conf.TrustedProxies, peer.Addr()) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		peer = netip.AddrPortFrom(a.Unmap(), 0)
		if !trusted(s.conf.TrustedProxies, a) {
			break
		}
	}
	return peer
}

func trusted(ranges []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(a) })
}
