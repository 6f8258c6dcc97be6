package pull

import (
	"reflect"

	"weir/internal/session"
)

// What a pull was made by.
const (
	ByConfig = "config"
	ByEdge   = "edge"
	ByAPI    = "api"
	ByHook   = "hook"
)

// Plan says how one stream is pulled. It does not change.
type Plan struct {
	// Sources are the URLs, in the order in which they are tried. They may hold keys: never log them.
	Sources []string
	// OnDemand fetches the stream only while it is played.
	OnDemand bool
	// Private lets sources that are not the operator's own, and redirects, lead to private addresses.
	Private bool
	// By is what the pull was made by: one of ByConfig, ByEdge, ByAPI and ByHook.
	By string
	Tuning
}

// sameSources reports whether a pull by plan q goes on as it is with p instead.
func (p *Plan) sameSources(q *Plan) bool {
	a, b := *p, *q
	for _, x := range []*Plan{&a, &b} {
		x.OnDemand, x.Linger, x.By = false, 0, ""
	}
	return reflect.DeepEqual(a, b)
}

// redacted returns the sources fit for people.
func (p *Plan) redacted() []string {
	list := make([]string, len(p.Sources))
	for i, s := range p.Sources {
		list[i] = session.Redact(s)
	}
	return list
}
