package httpserver

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"weir/internal/peer"
)

// maxHops bounds the proxies that a request is followed back through.
const maxHops = 16

// client returns the viewer's address, and the trusted proxies through which the request came, the nearest one last.
// Behind a trusted proxy it is the last address in the proxy's header that is not a trusted proxy's: what
// is to the left of it may be made up. Where the header says nothing that can be used, the proxy itself is the viewer.
func (s *Server) client(r *http.Request) (viewer netip.AddrPort, via []netip.Addr) {
	viewer = peer.Remote(r)
	policy := s.conf.Policy()
	if !viewer.IsValid() || !trusted(policy.TrustedProxies, viewer.Addr()) {
		return viewer, nil
	}
	hops := forwarded(r.Header, policy.ProxyHeader)
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops); i-- {
		a, ok := parseHop(hops[i])
		if !ok {
			break
		}
		via = append(via, viewer.Addr())
		viewer = netip.AddrPortFrom(a, 0)
		if !trusted(policy.TrustedProxies, a) {
			break
		}
	}
	slices.Reverse(via)
	return viewer, via
}

func trusted(ranges []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(a) })
}

// forwarded returns the addresses in the header that proxies use, as text, the viewer's first.
func forwarded(h http.Header, name string) []string {
	if name == "auto" || name == "" {
		name = ""
		for _, n := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"} {
			if len(h[n]) > 0 {
				name = n
				break
			}
		}
	}
	values := h.Values(name)
	switch {
	case len(values) == 0:
		return nil
	case strings.EqualFold(name, "Forwarded"):
		return forwardedFor(strings.Join(values, ","))
	case strings.EqualFold(name, "X-Real-IP"):
		return values[len(values)-1:] // it has one address
	}
	return strings.Split(strings.Join(values, ","), ",")
}

// forwardedFor returns the parameter "for" of each element of the field Forwarded (RFC 7239 §4), "" for one without.
func forwardedFor(field string) []string {
	var hops []string
	for element := range splitQuoted(field, ',') {
		hop := ""
		for pair := range splitQuoted(element, ';') {
			name, value, _ := strings.Cut(pair, "=")
			if strings.EqualFold(strings.TrimSpace(name), "for") {
				hop = strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
		hops = append(hops, hop)
	}
	return hops
}

// splitQuoted splits text at a separator, but not within quotes.
func splitQuoted(text string, at byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i < len(text); i++ {
			switch {
			case text[i] == '"':
				quoted = !quoted
			case quoted && text[i] == '\\':
				i++
			case text[i] == at && !quoted:
				if !yield(text[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(text[start:])
	}
}

// parseHop reads an address, perhaps with a port or brackets around one of IPv6.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inner, "]")
	}
	a, err := netip.ParseAddr(text)
	return a.Unmap().WithZone(""), err == nil
}
