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
