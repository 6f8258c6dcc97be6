package decide

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"

	"weir/internal/admit"
)

// digest stands for a question. What a peer showed cannot be found out from it.
type digest [sha256.Size]byte

// keys are the digests of a question.
type keys struct {
	// exact is what tells one question from another. Whether the stream is online, and how many play it, is told to the
	// service and is not part of it: an answer that holds for a while holds though they change.
	exact digest
	// flight is what peers must have in common to share a question under way: a session that is asked
	// about again shares none, and none does whose end the service waits for (hook.Format.Pairs).
	flight digest
	// credential leaves out how a peer comes that shows something, as from which address: a publisher is the same one
	// in another network. Of one that shows nothing it is exact.
	credential digest
}

// keysOf returns a question's digests, for a service that pairs questions with ends or does not.
func keysOf(r *admit.Request, pairs bool) keys {
	h := sha256.New()
	add := func(s string) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(s))) //nolint:gosec // a few kilobytes
		h.Write(n[:])
		h.Write([]byte(s))
	}
	c := &r.Credential
	for _, s := range []string{r.Role.String(), r.Protocol, r.Path, r.RawQuery, c.Kind, c.User, c.Secret, c.Token, r.PageURL, r.TCURL} {
		add(s)
	}
	var k keys
	h.Sum(k.credential[:0])
	for _, s := range []string{r.Remote.Addr().String(), r.UserAgent, strconv.FormatBool(r.TLS)} {
		add(s)
	}
	for _, proxy := range r.Via {
		add(proxy.String())
	}
	h.Sum(k.exact[:0])
	k.flight = k.exact
	if r.Recheck || pairs && r.Session != "" {
		add(r.Session)
		h.Sum(k.flight[:0])
	}
	if r.RawQuery == "" && *c == (admit.Credential{}) {
		k.credential = k.exact
	}
	return k
}

// maxRemembered bounds the answers that a memory holds; those that were not asked for the longest give way.
const maxRemembered = 50_000

// memory keeps verdicts until a time. The zero memory is ready.
type memory struct {
	entries map[digest]*list.Element // of *remembered
	recent  list.List                // the newest first
}

type remembered struct {
	key     digest
	verdict *verdict
	until   time.Time
}

func (m *memory) get(key digest, now time.Time) *verdict {
	e := m.entries[key]
	if e == nil {
		return nil
	}
	r := e.Value.(*remembered) //nolint:forcetypeassert // put
	if !now.Before(r.until) {
		m.drop(key)
		return nil
	}
	m.recent.MoveToFront(e)
	return r.verdict
}

func (m *memory) put(key digest, v *verdict, until time.Time) {
	m.drop(key)
	if m.recent.Len() >= maxRemembered {
		m.drop(m.recent.Back().Value.(*remembered).key) //nolint:forcetypeassert // below
	}
	if m.entries == nil {
		m.entries = map[digest]*list.Element{}
	}
	m.entries[key] = m.recent.PushFront(&remembered{key, v, until})
}

func (m *memory) drop(key digest) {
	if e := m.entries[key]; e != nil {
		m.recent.Remove(e)
		delete(m.entries, key)
	}
}
