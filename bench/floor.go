package bench

import (
	"net"
	"time"
)

// FloorConfig is what Floor does.
type FloorConfig struct {
	Listen string        `default:"127.0.0.1:0" help:"Address to listen on."`
	Gather time.Duration `default:"0s" help:"Send what has come in every so often; 0 sends it at once."`

	// Listening is called with the address once it is open; nil is not.
	Listening func(net.Addr) `kong:"-" json:"-"`
}

// FloorReport is what Floor did.
type FloorReport struct {
	Received int64 `json:"received"` // bytes from publishers
	Sent     int64 `json:"sent"`     // bytes to players
	Sends    int64 `json:"sends"`
	Short    int64 `json:"short"`   // sends that a full socket cut
	Dropped  int64 `json:"dropped"` // players closed because they took too little
}
