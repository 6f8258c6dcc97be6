package protocol

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

// Listening is implemented by a Section that opens listeners of its own.
type Listening interface {
	// Listeners returns those that are turned on.
	Listeners() []Listener
}

// Listener is the address of a listener in the configuration.
type Listener struct {
	// Key is the path of its key: "rtmp.listen".
	Key string
	// Addr points to its value.
	Addr *string
}
