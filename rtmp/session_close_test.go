package rtmp

import (
	"errors"
	"net"
	"testing"
)

// TestCloseAtAnyTime: a session may be closed by others from the moment it is made, whatever it is
// doing by then; the race detector watches.
func TestCloseAtAnyTime(t *testing.T) {
	errEnd := errors.New("the end")
	for range 50 {
		client, server := net.Pipe()
		s := new(Server).NewSession(t.Context(), server)
		done := make(chan error, 1)
		go func() { done <- s.Serve() }()
		s.Close(errEnd)
		if err := <-done; !errors.Is(err, errEnd) {
			t.Fatalf("it ended with %v", err)
		}
		client.Close()
	}
}
