package protocol

// Section is what a protocol's folder brings to the table of protocols: a struct, whose fields are the
// protocol's section of the configuration. It may have none.
//
// Beside it there may be a second struct, whose fields are the protocol's part of an entry of streams:
// Env.Settings returns a pointer to that.
type Section interface {
	// Protocols returns what the folder speaks, in one form or several.
	Protocols() []Entry
}

// Entry is a protocol that is not running yet.
type Entry struct {
	// Name is the protocol's log key, metric label and name in the API.
	Name string
	// New makes it, and opens its listeners.
	New func(env Env) (Protocol, error)
}
