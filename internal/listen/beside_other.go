//go:build !linux

package listen

import (
	"context"
	"net"
)

// openBeside cannot share a port with a listener of this program: the address changes with a restart.
func openBeside(_ context.Context, _ net.ListenConfig, _ string, _ []*Listener, was error) (net.Listener, error) {
	return nil, was
}
