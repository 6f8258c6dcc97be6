package fanout

import "errors"

// Sink is one player's way to the network. Only the player's worker calls its methods. Close also ends a pending Arm.
type Sink interface {
	// TrySend hands p to the kernel without blocking and returns how much was taken. full says that
	// the sink takes no more, or has not passed on what it took: the worker then arms it, and calls
	// TrySend with an empty p once it is writable. The bytes of p never change, so that a sink may
	// keep p until it has sent it.
	TrySend(p []byte) (n int, full bool, err error)
	// Arm makes the sink call w.Writable once, on any goroutine, when it takes bytes again
	// or has failed.
	Arm(w Writable)
	// Close closes the connection.
	Close() error
}

// Writable is told that a full sink takes bytes again.
type Writable interface{ Writable() }

// The causes with which the engine itself ends a player.
var (
	// ErrEnded is the cause when the log was closed and the player has been sent all of it.
	ErrEnded = errors.New("stream ended")
	// ErrSlow is the cause when the player lagged too far and the policy is to close it.
	ErrSlow = errors.New("player too slow")
	// ErrStalled is the cause when the player took nothing for too long.
	ErrStalled = errors.New("player took no data")
	// ErrBacklog is the cause when too many bytes given to Send wait for the player.
	ErrBacklog = errors.New("player leaves too many replies unread")
	// ErrEngineClosed is the cause when the engine is closed.
	ErrEngineClosed = errors.New("server shutting down")
)
