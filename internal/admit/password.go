package admit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"weir/internal/session"
)

// Passwords that people chose can be guessed, and so their hashes are made slow to compute. That is done by as many
// peers at a time as there are slots; the others wait for a while, and who showed the right password before does not.
const (
	passwordSlots = 2
	passwordWait  = 3 * time.Second
)

// What new hashes cost: the second of the recommendations of OWASP.
const (
	passwordMemory  = 19 << 10 // KiB
	passwordTime    = 2
	passwordThreads = 1
)

// The bounds of hashes that others made.
const (
	maxPasswordMemory  = 64 << 10 // KiB
	maxPasswordTime    = 10
	maxPasswordThreads = 8
)

// passwordPrefix says how a hash was made. What follows it is the hash in the form of argon2's own tool.
const passwordPrefix = "argon2id:"

// HashPassword returns what may stand in the place of a password, as a hash that is slow to compute.
func HashPassword(text string) string {
	var salt [16]byte
	_, _ = rand.Read(salt[:]) // never fails
	sum := argon2.IDKey([]byte(text), salt[:], passwordTime, passwordMemory, passwordThreads, sha256.Size)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("%s$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", passwordPrefix, argon2.Version, passwordMemory, passwordTime, passwordThreads,
		b64.EncodeToString(salt[:]), b64.EncodeToString(sum))
}

// password is the hash of a password.
type password struct {
	memory, time uint32
	threads      uint8
	salt, sum    []byte

	blind [sha256.Size]byte
	right atomic.Pointer[digest] // of the password, once it was shown; nobody else can compute it
}

// isPassword reports whether a hash is one of a password.
func isPassword(hash string) bool { return strings.HasPrefix(hash, "argon2") }

// parsePassword reads a hash, as HashPassword or MediaMTX has it.
func parsePassword(text string) (*password, error) {
	wrong := errors.New("the hash of a password is argon2id:$argon2id$v=19$m=…,t=…,p=…$SALT$HASH, as `weir key hash --password` prints it")
	rest, ok := strings.CutPrefix(text, passwordPrefix)
	if !ok {
		if rest, ok = strings.CutPrefix(text, "argon2:"); !ok {
			return nil, wrong
		}
	}
	parts := strings.Split(rest, "$") // the first one is empty
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, wrong
	}
	p := &password{}
	if n, err := fmt.Sscanf(parts[3]+"$", "m=%d,t=%d,p=%d$", &p.memory, &p.time, &p.threads); err != nil || n != 3 {
		return nil, wrong
	}
	if p.memory < 8 || p.memory > maxPasswordMemory || p.time < 1 || p.time > maxPasswordTime || p.threads < 1 || p.threads > maxPasswordThreads {
		return nil, fmt.Errorf("the hash of a password costs at most m=%d,t=%d,p=%d", maxPasswordMemory, maxPasswordTime, maxPasswordThreads)
	}
	var err1, err2 error
	p.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	p.sum, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(p.salt) < 8 || len(p.salt) > 64 || len(p.sum) < 16 || len(p.sum) > 64 {
		return nil, wrong
	}
	_, _ = rand.Read(p.blind[:]) // never fails
	return p, nil
}

// digest returns what stands for a text in memory.
func (p *password) digest(text string) (d digest) {
	h := sha256.New()
	h.Write(p.blind[:])
	h.Write([]byte(text))
	h.Sum(d[:0])
	return d
}

// was reports whether d is of the password, which was shown before.
func (p *password) was(d digest) bool {
	right := p.right.Load()
	return right != nil && subtle.ConstantTimeCompare(right[:], d[:]) == 1
}

// errPasswordsBusy refuses a peer whose password could not be checked in time.
var errPasswordsBusy = &session.Refusal{
	Reason: session.Limit, RetryAfter: passwordWait, Peer: "Too many passwords are being checked: try again.",
	Err: errors.New("admit: too many passwords are being checked"),
}

// check reports whether text is the password. It waits for a slot, passwordWait at most, and fails if it gets none.
func (p *password) check(ctx context.Context, slots chan struct{}, text string) (bool, error) {
	d := p.digest(text)
	if p.was(d) {
		return true, nil
	}
	wait := time.NewTimer(passwordWait)
	defer wait.Stop()
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-wait.C:
		return false, errPasswordsBusy
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	if p.was(d) { // somebody before in the queue has shown it
		return true, nil
	}
	sum := argon2.IDKey([]byte(text), p.salt, p.time, p.memory, p.threads, uint32(len(p.sum)))
	if subtle.ConstantTimeCompare(sum, p.sum) != 1 {
		return false, nil
	}
	p.right.Store(&d)
	return true, nil
}

// password looks for a password among what a peer has shown.
func (g *Gate) password(ctx context.Context, rule *rule, list []offer, r *Request) (*held, error) {
	for i := range list {
		o := &list[i]
		for _, k := range rule.keys.passwords[o.user] {
			if !k.fits(o, r) {
				continue
			}
			if ok, err := k.password.check(ctx, g.slots, o.secret); ok || err != nil {
				return k, err
			}
		}
	}
	return nil, nil //nolint:nilnil // it was not shown
}
