package rtmp

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestC117_AdobeVector(t *testing.T) {
	if got := adobeResponse("user", "testsalt", "pass", "testchallenge", "AAAAAA=="); got != "io9PIdeVobGxcFaD7XgQFg==" {
		t.Errorf("without opaque: %s", got)
	}
	if got := adobeResponse("user", "testsalt", "pass", "opq", "AAAAAA=="); got != "cpfBaCaYMRAGt8FYIZ0XZw==" {
		t.Errorf("with opaque: %s", got)
	}
}

func TestC119_LLNWVector(t *testing.T) {
	if got := llnwResponse("user", "pass", "live", "nonce1", "00000001", "0a0b0c0d"); got != "89e4dec029e0ca0d929e29b4e473815c" {
		t.Error(got)
	}
}

// newAuth knows one user, "joe" with the password "s3cret".
func newAuth(scheme string) *Authenticator {
	return NewAuthenticator(scheme, func(user string) (string, bool) { return "s3cret", user == "joe" })
}

// verify asks with an application as a client sends it.
func verify(a *Authenticator, app string) (string, error) {
	return a.Verify(&ConnectRequest{auth: parseAuth(app)})
}

// description is what a client is told.
func description(t *testing.T, err error) string {
	t.Helper()
	st, ok := errors.AsType[*StatusError](err)
	if !ok || st.Code != CodeConnectRejected {
		t.Fatalf("error %v", err)
	}
	if len(st.Description) > 240 {
		t.Fatalf("description of %d bytes", len(st.Description))
	}
	return st.Description
}

// login walks through the exchange as the client side does and returns the last
// application that it sent, with the verdict.
func login(t *testing.T, a *Authenticator, app, user, password string) (last string, err error) {
	t.Helper()
	last = app
	for range 4 {
		name, err := verify(a, last)
		if err == nil {
			if name != user {
				t.Fatalf("verified as %q", name)
			}
			return last, nil
		}
		add, authErr := answerAuth(description(t, err), app, user, password)
		if authErr != nil {
			return last, authErr
		}
		last = app + add
	}
	t.Fatal("no end")
	return "", nil
}

func TestC117_AdobeFlow(t *testing.T) {
	for _, scheme := range []string{AuthAdobe, AuthLLNW} {
		for _, app := range []string{"live", "live/eu", "live?x=1"} {
			if _, err := login(t, newAuth(scheme), app, "joe", "s3cret"); err != nil {
				t.Errorf("%s, %s: %v", scheme, app, err)
			}
			if _, err := login(t, newAuth(scheme), app, "joe", "wrong"); !errors.Is(err, ErrAuthFailed) {
				t.Errorf("%s, %s: wrong password: %v", scheme, app, err)
			}
		}
	}
}

func TestC118_Refusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, scheme := range []string{AuthAdobe, AuthLLNW} {
			a := newAuth(scheme)
			if _, err := login(t, a, "live", "eve", "s3cret"); !errors.Is(err, ErrAuthFailed) {
				t.Errorf("%s: unknown user: %v", scheme, err)
			}
			good, err := login(t, a, "live", "joe", "s3cret")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verify(a, good); !strings.Contains(description(t, err), "?reason=authfailed") {
				t.Errorf("%s: replayed: %v", scheme, err)
			}
			// Another client of the same user in the same minute is not a replay.
			second, err := login(t, a, "live", "joe", "s3cret")
			if err != nil || second == good {
				t.Errorf("%s: second login: %v", scheme, err)
			}
			_, err = verify(a, "live?authmod="+scheme+"&user=joe")
			add, _ := answerAuth(description(t, err), "live", "joe", "s3cret")
			<-time.After(3 * time.Minute)
			if _, err := verify(a, "live"+add); !strings.Contains(description(t, err), "?reason=needauth") {
				t.Errorf("%s: expired: %v", scheme, err)
			}
			add, _ = answerAuth(description(t, errOf(verify(a, "live?authmod="+scheme+"&user=joe"))), "live", "joe", "s3cret")
			<-time.After(time.Minute)
			if _, err := verify(a, "live"+add); err != nil {
				t.Errorf("%s: a minute old: %v", scheme, err)
			}
		}
	})
}

func errOf(_ string, err error) error { return err }

func TestC119_LLNWCountAndCnonce(t *testing.T) {
	a := newAuth(AuthLLNW)
	for _, change := range [][2]string{{"nc=00000001", "nc=00000002"}, {"cnonce=", "cnonce=0"}, {"nonce=", "nonce=A"}} {
		err := errOf(verify(a, "live?authmod=llnw&user=joe"))
		add, _ := answerAuth(description(t, err), "live", "joe", "s3cret")
		if got := description(t, errOf(verify(a, "live"+strings.Replace(add, change[0], change[1], 1)))); !strings.Contains(got, "authfailed") {
			t.Errorf("%s: %s", change[1], got)
		}
	}
}

func TestC261_DescriptionsSuitSmallBuffers(t *testing.T) {
	long := strings.Repeat("u", 48)
	for _, scheme := range []string{AuthAdobe, AuthLLNW} {
		a := newAuth(scheme)
		for _, app := range []string{"live", "live?authmod=" + scheme + "&user=" + long, "live?authmod=" + scheme + "&user=" + long + "&response=x"} {
			d := description(t, errOf(verify(a, app)))
			_, rest, _ := strings.Cut(d, "authmod="+scheme)
			if !strings.HasPrefix(rest, " ") {
				t.Errorf("no space behind the scheme: %q", d)
			}
			if strings.Contains(d, "opaque=&") || strings.HasSuffix(d, "opaque=") {
				t.Errorf("empty opaque: %q", d)
			}
		}
		if d := description(t, errOf(verify(a, "live?authmod="+scheme+"&user="+long+"u"))); !strings.Contains(d, "authfailed") {
			t.Errorf("long user: %q", d)
		}
	}
}

func TestC262_OpaqueEqualsChallenge(t *testing.T) {
	for _, repeat := range []bool{true, false} {
		a := newAuth(AuthAdobe)
		d := description(t, errOf(verify(a, "live?authmod=adobe&user=joe")))
		_, q, _ := strings.Cut(d, "?reason=needauth")
		params := parseQuery(q)
		if params.Get("opaque") != params.Get("challenge") || params.Get("opaque") == "" {
			t.Fatal(d)
		}
		app := "live?authmod=adobe&user=joe&challenge=AAAAAA==&response=" +
			adobeResponse("joe", params.Get("salt"), "s3cret", params.Get("challenge"), "AAAAAA==")
		if repeat {
			app += "&opaque=" + params.Get("opaque")
		}
		if _, err := verify(a, app); err != nil {
			t.Errorf("opaque repeated %v: %v", repeat, err)
		}
	}
}

func TestAuthParametersAreStripped(t *testing.T) {
	got := withoutParams("live?x=1?authmod=adobe&user=joe&challenge=AAAAAA==&response=q+/=&opaque=o&y=2", authKeys...)
	if got != "live?x=1&y=2" {
		t.Error(got)
	}
	if p := parseAuth("live?user=somebody"); p.user != "" {
		t.Error("a user without a scheme is another parameter")
	}
}

func TestUsedResponsesAreBounded(t *testing.T) {
	a := newAuth(AuthAdobe)
	use := func(i int) bool { return a.firstUse(7, strconv.Itoa(i)) }
	for i := range 20_000 {
		if !use(i) {
			t.Fatalf("response %d was not used before", i)
		}
	}
	if use(0) {
		t.Error("a response among the last 20,000 of two minutes can be used again")
	}
	if !use(20_000) || !use(0) || len(a.used[0])+len(a.used[1]) != 10_002 {
		t.Errorf("%d and %d are remembered", len(a.used[0]), len(a.used[1]))
	}
}

func FuzzAnswerAuth(f *testing.F) {
	f.Add("[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=u&salt=s&challenge=c&opaque=o", "live")
	f.Add("code=403 need auth; authmod=llnw", "live?x")
	f.Fuzz(func(t *testing.T, description, app string) {
		add, err := answerAuth(description, app, "user", "pass")
		if err == nil && add != "" && parseAuth(app+add).scheme == "" {
			t.Fatalf("%q has no scheme", app+add)
		}
	})
}
