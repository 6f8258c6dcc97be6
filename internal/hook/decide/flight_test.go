package decide

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/session"
)

// TestSingleFlight: peers that show the same share a question; one that leaves takes it from nobody, and
// the last one ends it.
func TestSingleFlight(t *testing.T) {
	arrived, left := make(chan struct{}, 100), make(chan struct{}, 100)
	answer := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-answer:
		case <-r.Context().Done():
			left <- struct{}{}
		}
	})
	c := newRig(t, url, nil)
	first, leave := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	results := make(chan error, 10)
	var wg sync.WaitGroup
	ask := func(ctx context.Context) {
		wg.Go(func() {
			_, err := c.Decide(ctx, player("token=a"))
			results <- err
		})
	}
	waiting := func(n int) {
		t.Helper()
		k := keysOf(player("token=a"), false).flight
		for deadline := time.Now().Add(10 * time.Second); ; {
			c.Client.mu.Lock()
			f := c.flights[seat{k, c.plan.Load()}]
			ok := f != nil && f.waiting == n || f == nil && n == 0
			c.Client.mu.Unlock()
			if ok {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("not %d peers wait", n)
			}
			<-time.After(time.Millisecond)
		}
	}
	ask(first)
	<-arrived
	for range 4 {
		ask(t.Context())
	}
	waiting(5)
	leave(gone)
	if err := <-results; !errors.Is(err, gone) {
		t.Error(err)
	}
	waiting(4)
	answer <- struct{}{}
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if len(arrived) != 0 {
		t.Error("asked more than once")
	}
	last, leave := context.WithCancelCause(t.Context())
	ask(last)
	<-arrived
	leave(gone)
	if err := <-results; !errors.Is(err, gone) {
		t.Error(err)
	}
	<-left // the service is not kept busy for nobody
	waiting(0)
	wg.Wait()
	c.check(t, map[string]int{Allowed: 4})
}

// TestCloseAndUse: a new configuration lets questions under way end; Close does not.
func TestCloseAndUse(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		select {
		case <-answer:
		case <-r.Context().Done():
		}
	})
	c := newRig(t, url, nil)
	results := make(chan error)
	ask := func() {
		_, err := c.Decide(t.Context(), publisher("token=a"))
		results <- err
	}
	var wg sync.WaitGroup
	wg.Go(ask)
	<-arrived
	use(t, c.Client, DefaultConfig())
	if terms, err := c.Decide(t.Context(), publisher("token=b")); terms != nil || err != nil {
		t.Error("asked by no address", terms, err)
	}
	answer <- struct{}{}
	if err := <-results; err != nil {
		t.Error(err)
	}
	conf := DefaultConfig()
	conf.URL = url
	use(t, c.Client, conf)
	wg.Go(ask)
	<-arrived
	// Under another configuration the same question is put to the service of that one.
	other := conf
	other.URL = serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"user":"new"}`) })
	use(t, c.Client, other)
	if terms, err := c.Decide(t.Context(), publisher("token=a")); err != nil || terms.User != "new" {
		t.Errorf("asked the service of the configuration before: %+v, %v", terms, err)
	}
	c.Close()
	if err := <-results; session.ReasonOf(err) != session.Shutdown {
		t.Error(err)
	}
	wg.Wait()
}

// TestServiceOfBefore: what the service of a configuration before still says holds for nobody who asks under the next, and
// that it fails is not the next one's fault.
func TestServiceOfBefore(t *testing.T) {
	arrived, release, fail := make(chan struct{}), make(chan struct{}), make(chan struct{})
	before := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		arrived <- struct{}{}
		if strings.Contains(string(b), "fails") {
			<-fail
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		<-release
		_, _ = io.WriteString(w, `{"user":"before","cache":"1h"}`)
	})
	c := newRig(t, before, nil)
	var failing, wg sync.WaitGroup
	for i := range 5 {
		failing.Go(func() { _, _ = c.Decide(t.Context(), player(fmt.Sprint("token=fails", i))) })
	}
	wg.Go(func() {
		if terms, err := c.Decide(t.Context(), player("")); err != nil || terms.User != "before" {
			t.Errorf("%+v, %v", terms, err)
		}
	})
	for range 6 {
		<-arrived
	}
	conf := DefaultConfig()
	conf.URL = serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"user":"next"}`) })
	use(t, c.Client, conf)
	close(release)
	wg.Wait()
	close(fail) // five in a row
	failing.Wait()
	if terms, err := c.Decide(t.Context(), player("")); err != nil || terms.User != "next" {
		t.Errorf("%+v, %v", terms, err)
	}
}
