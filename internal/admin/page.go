package admin

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// The bounds of the lists.
const (
	defaultLimit = 1000
	maxListed    = 1000 // sessions of one stream in its description, and entries of a snapshot
)

// Page is the part of a list that a request asks for.
type Page struct {
	Cursor string `query:"cursor" maxLength:"512" doc:"Where to go on: next of the answer before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"Entries at most."`
}

// Listed is what every list says of itself.
type Listed struct {
	Total int    `json:"total" doc:"Entries that fit the filters, in all pages."`
	Next  string `json:"next,omitempty" doc:"The cursor of the next page; absent in the last one."`
}

// after returns the key after which the page begins, as a list gave it to cursor.
func (p *Page) after() (key string, err error) {
	b, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return "", newProblem(http.StatusUnprocessableEntity, "bad_cursor", "This cursor did not come from an earlier answer: start again without one.")
	}
	return string(b), nil
}

// cursor returns the text for a key.
func cursor(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

// list takes the page that p asks for out of all entries, which are in the order of their keys.
func list[E, T any](p *Page, all []E, key func(E) string, describe func(E) T) (part []T, l Listed, err error) {
	from, err := p.after()
	if err != nil {
		return nil, l, err
	}
	part, l.Total = []T{}, len(all)
	last := ""
	for _, e := range all {
		k := key(e)
		if p.Cursor != "" && k <= from {
			continue
		}
		if len(part) == p.Limit {
			l.Next = cursor(last)
			break
		}
		part, last = append(part, describe(e)), k
	}
	return part, l, nil
}

// inApp reports whether a stream's path is in an application, or below a part of one; "" is all.
func inApp(path, app string) bool {
	return app == "" || strings.HasPrefix(path, strings.TrimSuffix(app, "/")+"/")
}

// Filter asks for some of the streams, or of the sessions by their streams.
type Filter struct {
	App      string `query:"app" maxLength:"255" doc:"Only those of this application." example:"live"`
	Online   string `query:"online" enum:"true,false" doc:"Only those whose stream has a publisher, or only those whose stream has none."`
	Protocol string `query:"protocol" maxLength:"32" doc:"Only those that speak this protocol; of a stream, its publisher." example:"rtmp"`
}

// fits reports whether what has to do with the stream at path by a protocol is asked for. online reports whether the stream
// has a publisher.
func (f *Filter) fits(path, protocol string, online func() bool) bool {
	return inApp(path, f.App) && (f.Protocol == "" || f.Protocol == protocol) &&
		(f.Online == "" || f.Online == strconv.FormatBool(online()))
}
