package protocol

import (
	"net/netip"

	"weir/internal/listen"
)

// Section is what a protocol's folder puts into the table of protocols: a struct, whose fields, if it
// has any, are the protocol's section of the configuration.
//
// A folder may have a second struct, whose fields are the protocol's keys in an entry of streams:
// Env.Settings returns a pointer to it.
type Section interface {
	// Protocols returns the folder's protocols, one or several.
	Protocols() []Entry
}

// Entry is a protocol that is not running yet.
type Entry struct {
	// Name is the protocol's log key, metric label and name in the API.
	Name string
	// New makes the protocol and opens its listeners.
	New func(env Env) (Protocol, error)
}

// Changeable is implemented by a Section with keys that a change of the configuration applies while the
// protocols run: all but those of listeners, and those that take a restart.
type Changeable interface {
	// Change gives the section's values to its protocols, as Protocols made them.
	Change(running []Protocol)
}

// Listening is implemented by a Section that opens listeners of its own.
type Listening interface {
	// Listeners returns all of them, also those that are turned off.
	Listeners() []Listener
}

// Listener is a listener in the configuration.
type Listener struct {
	// Proto is its name in the log, such as "rtmps".
	Proto string
	// Key is the path of its address's key: "rtmp.listen".
	Key string
	// Addr points to its address.
	Addr *string
	// TLS is its certificate, nil for a listener without TLS.
	TLS *listen.TLSConfig
	// Proxies are the addresses from which connections begin with a header of the PROXY protocol.
	Proxies []netip.Prefix
}

// Address returns where the listener is to listen, "" if it is turned off.
func (l *Listener) Address() string {
	if l.TLS != nil && !l.TLS.Enabled() {
		return ""
	}
	return *l.Addr
}
