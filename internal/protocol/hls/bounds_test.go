package hls

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/session"
)

// TestCDNSecretAtTheBound: a secret has 16 characters at least.
func TestCDNSecretAtTheBound(t *testing.T) {
	for n, says := range map[int]string{0: "", 15: "a secret of fewer than 16 characters can be guessed", 16: ""} {
		c := StreamConfig{CDNSecret: strings.Repeat("s", n)}
		if err := c.Validate(); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%d characters: %v", n, err)
		}
	}
}

// TestIDsAtTheBounds: an id is good for two minutes, and has up to 12288 characters.
func TestIDsAtTheBounds(t *testing.T) {
	tokens, now := newTokens(), time.Unix(1_000_000, 0)
	for age, want := range map[time.Duration]bool{120 * time.Second: true, 121 * time.Second: false} {
		if _, _, got, ok := tokens.open("live/a", tokens.issue("live/a", grant, 0, now.Add(-age)), now); ok != want || got != age {
			t.Errorf("after %v: %v, %v old", age, ok, got)
		}
	}
	of := func(user int) string {
		return tokens.issue("live/a", session.Grant{Terms: &session.Terms{User: strings.Repeat("u", user)}}, 0, now)
	}
	longest := 0
	for len(of(longest+1)) <= 12288 {
		longest += max(1, (12288-len(of(longest+1)))*3/4)
	}
	for user, want := range map[int]int{longest: 12288, longest + 1: 12290} { // no text in base64 has 12289
		id := of(user)
		g, _, _, ok := tokens.open("live/a", id, now)
		if len(id) != want || ok != (want == 12288) || ok && len(g.Terms.User) != user {
			t.Errorf("%d characters: %v", len(id), ok)
		}
	}
}

// TestTakenAtTheBounds: 65536 ids are known as taken, each for three minutes.
func TestTakenAtTheBounds(t *testing.T) {
	var ids takenIDs
	begun := time.Unix(1_000_000, 0)
	for i := range 65536 {
		if !ids.take(fmt.Sprint(i), begun) {
			t.Fatalf("id %d is refused", i)
		}
	}
	if ids.take("more", begun) {
		t.Error("65537 are known")
	}
	if ids.sweep(begun.Add(3 * time.Minute)); ids.take("0", begun) {
		t.Error("forgotten after three minutes")
	}
	if ids.sweep(begun.Add(3*time.Minute + 1)); !ids.take("0", begun) {
		t.Error("known for more than three minutes")
	}
}

// TestNewcomersAtTheBounds: eight of those in a bucket are remembered, and who asks for media within ten seconds is one of them.
func TestNewcomersAtTheBounds(t *testing.T) {
	addr, begun := netip.MustParseAddr(addrA), time.Unix(1_000_000, 0)
	for wait, want := range map[time.Duration]bool{10 * time.Second: true, 10*time.Second + 1: false} {
		n := newNewcomers()
		n.note(addr, viewerKey{"live/a", "v"}, grant, begun)
		if _, _, ok := n.ask(addr, "live/a", begun.Add(wait)); ok != want {
			t.Errorf("after %v it is one: %v", wait, ok)
		}
	}
	for count, oldest := range map[int]string{8: "v0", 9: "v1"} {
		n := newNewcomers()
		for i := range count {
			n.note(addr, viewerKey{"live/a", fmt.Sprint("v", i)}, grant, begun)
		}
		if key, _, ok := n.ask(addr, "live/a", begun); !ok || key.token != oldest || len(n.bucket(addr, "live/a").list) != 8 {
			t.Errorf("of %d the oldest is %s", count, key.token)
		}
	}
}

// TestRenewalsAtTheBound: a viewer that shows something else each time is asked about once a second.
func TestRenewalsAtTheBound(t *testing.T) {
	asked := time.Unix(1_000_000, 0)
	for wait, want := range map[time.Duration]bool{time.Second - 1: false, time.Second: true} {
		v := newViewer(viewerKey{"live/a", "v"}, session.Grant{Terms: &session.Terms{Until: asked.Add(time.Hour)}})
		v.proof, v.askedAt = 5, asked
		if got := v.differs(nil, 6, asked.Add(wait)); got != want {
			t.Errorf("after %v: %v", wait, got)
		}
	}
}

// by is a response writer that notes its deadline.
type by struct {
	*httptest.ResponseRecorder
	at time.Time
}

// SetWriteDeadline is for http.ResponseController.
func (b *by) SetWriteDeadline(t time.Time) error {
	b.at = t
	return nil
}

// TestPatienceAtTheBound: a viewer may take half a minute, and a second for each 16 KiB.
func TestPatienceAtTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n, want := range map[int]time.Duration{0: 30 * time.Second, 16383: 30 * time.Second, 16384: 31 * time.Second, 1 << 20: 94 * time.Second} {
			w := &by{ResponseRecorder: httptest.NewRecorder()}
			if patience(w, n); w.at != time.Now().Add(want) {
				t.Errorf("%d bytes: %v, want %v", n, time.Until(w.at), want)
			}
		}
	})
}
