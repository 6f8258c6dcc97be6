package server

import (
	"net/netip"
	"reflect"
	"testing"

	"weir/internal/session"
)

// TestLimitsOfSessions: each limit of the configuration is that of the registry, and trusted proxies are exempt.
func TestLimitsOfSessions(t *testing.T) {
	conf := configured(t, "limits.connections=101", "limits.connections_per_ip=102", "limits.pending_per_ip=103", "limits.players=104",
		"limits.players_per_ip=105", "limits.sessions_per_user=106", "limits.egress_bitrate=107Mbps", "http.trusted_proxies=[192.0.2.0/24]")
	want := session.Limits{
		Connections: 101, ConnectionsPerIP: 102, PendingPerIP: 103, Players: 104, PlayersPerIP: 105, SessionsPerUser: 106,
		Egress: 107_000_000, Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	}
	if got := conf.sessionLimits(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}
