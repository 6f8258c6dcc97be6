package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"weir/internal/admit"
	"weir/internal/session"
)

// The bounds of what an answer may say, in bytes if nothing else is said.
const (
	maxPath    = 255
	maxPushes  = 16
	maxName    = 64
	maxAddress = 1024
	maxPushKey = 512
	maxRecords = 16
	maxPlayers = 1 << 30
	minRecheck = time.Second
)

// weirFormat is our own: JSON both ways.
var weirFormat = Format{Name: "weir", EncodeDecision: askWeir, DecodeDecision: readWeir}

// weirQuestion is the body of a question.
type weirQuestion struct {
	Version    int            `json:"version"`
	ID         string         `json:"id"`
	Time       string         `json:"time"`
	Action     string         `json:"action"`
	Role       string         `json:"role"`
	Attempt    int            `json:"attempt"` // 1: no question is asked a second time
	DeadlineMS int64          `json:"deadline_ms"`
	Server     Server         `json:"server"`
	Session    weirSession    `json:"session"`
	Stream     weirStream     `json:"stream"`
	Credential weirCredential `json:"credential"`
}

type weirSession struct {
	ID        string   `json:"id"`
	Protocol  string   `json:"protocol"`
	Remote    string   `json:"remote"`
	Via       []string `json:"via"`
	TLS       bool     `json:"tls"`
	UserAgent string   `json:"user_agent"`
	Encoder   string   `json:"encoder"` // what publishers by RTMP say in the place of a user agent
	PageURL   string   `json:"page_url"`
	TCURL     string   `json:"tc_url"`
}

type weirStream struct {
	Path    string              `json:"path"`
	App     string              `json:"app"`
	Name    string              `json:"name"`
	Query   map[string][]string `json:"query"`
	Online  bool                `json:"online"`
	Players int                 `json:"players"`
}

type weirCredential struct {
	Kind   string `json:"kind"`
	User   string `json:"user"`
	Secret string `json:"secret"`
	Token  string `json:"token"`
}

// timeForm is RFC 3339 with milliseconds, in UTC.
const timeForm = "2006-01-02T15:04:05.000Z"

func askWeir(q *Question) *Call {
	action := q.Role.String()
	if q.Recheck {
		action = "recheck"
	}
	shown := weirCredential{Kind: q.Credential.Kind, User: q.Credential.User, Secret: q.Credential.Secret, Token: q.Credential.Token}
	if shown.Kind == "" {
		shown.Kind = "none"
		if key := admit.KeyOf(q.RawQuery); key != "" {
			shown.Kind, shown.Secret = "key", key
		}
	}
	encoder := ""
	if q.Role == session.Publish && family(q.Protocol, "") == "rtmp" {
		encoder = q.UserAgent
	}
	via := make([]string, len(q.Via))
	for i, a := range q.Via {
		via[i] = a.String()
	}
	app, name := appName(q.Path)
	query, _ := url.ParseQuery(q.RawQuery) //nolint:errcheck // what can be read of it
	return jsonCall(&weirQuestion{
		Version: 1, ID: q.ID, Time: q.Time.UTC().Format(timeForm), Action: action, Role: q.Role.String(), Attempt: 1,
		DeadlineMS: q.Deadline.Milliseconds(), Server: q.Server,
		Session: weirSession{
			ID: q.Session, Protocol: q.Protocol, Remote: q.Remote.String(), Via: via, TLS: q.TLS,
			UserAgent: q.UserAgent, Encoder: encoder, PageURL: q.PageURL, TCURL: q.TCURL,
		},
		Stream:     weirStream{Path: q.Path, App: app, Name: name, Query: query, Online: q.Online, Players: q.Players},
		Credential: shown,
	})
}

// weirAnswer is the body of an answer.
type weirAnswer struct {
	Allow   *bool          `json:"allow"`
	Reason  string         `json:"reason"`
	Path    string         `json:"path"`
	User    string         `json:"user"`
	Labels  map[string]any `json:"labels"`
	Cache   span           `json:"cache"`
	Until   moment         `json:"until"`
	Recheck span           `json:"recheck"`
	Limits  struct {
		Bitrate  rate `json:"bitrate"`
		Players  int  `json:"players"`
		Duration span `json:"duration"`
	} `json:"limits"`
	Push []struct {
		Name string `json:"name"`
		URL  string `json:"url"`
		Key  string `json:"key"`
	} `json:"push"`
	Record   json.RawMessage `json:"record"`
	Pull     string          `json:"pull"`
	Redirect string          `json:"redirect"`
}

func readWeir(_ *Question, r *Reply) (*Answer, error) {
	if a := denied(r); a != nil {
		var w weirAnswer
		if json.Unmarshal(r.Body, &w) == nil { // a denial may come with any body
			a.Reason, a.Cache = reason(w.Reason), min(time.Duration(w.Cache), maxCache)
		}
		return a, nil
	}
	if r.Status < 200 || r.Status > 299 {
		return nil, unexpected(r)
	}
	if len(bytes.TrimSpace(r.Body)) == 0 {
		return allowed(), nil
	}
	var w weirAnswer
	if err := json.Unmarshal(r.Body, &w); err != nil {
		return nil, badJSON(err)
	}
	a := &Answer{Allow: w.Allow == nil || *w.Allow, Reason: reason(w.Reason), Cache: min(time.Duration(w.Cache), maxCache)}
	if !a.Allow {
		return a, nil
	}
	return a, w.terms(&a.Terms)
}

// badJSON says what is wrong with an answer, without showing it.
func badJSON(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("the answer's %q holds a %s where a %s belongs", e.Field, e.Value, e.Type)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("the answer is not JSON (at byte %d)", e.Offset)
	}
	return fmt.Errorf("the answer: a value %w", err)
}

// terms sets t to what the answer says, within bounds.
func (w *weirAnswer) terms(t *session.Terms) error {
	for _, f := range []struct {
		name, value string
		most        int
	}{{"path", w.Path, maxPath}, {"pull", w.Pull, maxAddress}, {"redirect", w.Redirect, maxAddress}} {
		if err := text(f.name, f.value, f.most); err != nil {
			return err
		}
	}
	if w.Limits.Players < 0 || w.Limits.Players > maxPlayers {
		return fmt.Errorf("the answer's %q is from 0 to %d", "limits.players", maxPlayers)
	}
	if w.Redirect != "" {
		if err := webAddress("redirect", w.Redirect, "http", "https", "rtmp", "rtmps"); err != nil {
			return err
		}
	}
	if w.Pull != "" {
		if err := webAddress("pull", w.Pull, "rtmp", "rtmps", "http", "https"); err != nil {
			return err
		}
	}
	t.Path, t.User, t.Pull, t.Redirect = w.Path, w.User, w.Pull, w.Redirect
	t.Until, t.Bitrate, t.Players, t.Duration = w.Until.Time, int64(w.Limits.Bitrate), w.Limits.Players, time.Duration(w.Limits.Duration)
	if t.Recheck = time.Duration(w.Recheck); t.Recheck > 0 {
		t.Recheck = max(t.Recheck, minRecheck)
	}
	return errors.Join(w.labels(t), w.pushes(t), w.records(t), t.Check())
}

func (w *weirAnswer) labels(t *session.Terms) error {
	for k, v := range w.Labels {
		value, ok := v.(string)
		if !ok {
			switch v.(type) {
			case float64, bool:
				value = fmt.Sprint(v)
			default:
				return fmt.Errorf("the answer's %q must be strings, numbers or booleans", "labels")
			}
		}
		if t.Labels == nil {
			t.Labels = map[string]string{}
		}
		t.Labels[k] = value
	}
	return nil
}

func (w *weirAnswer) pushes(t *session.Terms) error {
	if len(w.Push) > maxPushes {
		return fmt.Errorf("the answer's %q has more than %d entries", "push", maxPushes)
	}
	for i, p := range w.Push {
		if err := errors.Join(text("push.name", p.Name, maxName), text("push.url", p.URL, maxAddress), text("push.key", p.Key, maxPushKey)); err != nil {
			return err
		}
		if err := webAddress("push.url", p.URL, "rtmp", "rtmps"); err != nil {
			return err
		}
		if p.Name == "" {
			p.Name = fmt.Sprintf("hook-%d", i+1)
		}
		t.Push = append(t.Push, session.Push{Name: p.Name, URL: p.URL, Key: p.Key})
	}
	return nil
}

// records reads a list of names, or false for none and true for as configured.
func (w *weirAnswer) records(t *session.Terms) error {
	var some *bool
	if len(w.Record) == 0 || json.Unmarshal(w.Record, &some) == nil {
		if some != nil && !*some {
			t.Record = []string{}
		}
		return nil
	}
	var names []string
	if err := json.Unmarshal(w.Record, &names); err != nil {
		return fmt.Errorf("the answer's %q is a list of names, true or false", "record")
	}
	if len(names) > maxRecords {
		return fmt.Errorf("the answer's %q has more than %d names", "record", maxRecords)
	}
	for _, n := range names {
		if err := text("record", n, maxName); err != nil {
			return err
		}
	}
	t.Record = append([]string{}, names...)
	return nil
}

// text refuses a text of an answer that is too long or has control characters.
func text(name, s string, most int) error {
	if len(s) > most {
		return fmt.Errorf("the answer's %q is longer than %d bytes", name, most)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) {
		return fmt.Errorf("the answer's %q has control characters", name)
	}
	return nil
}

// webAddress refuses an address that has none of the schemes.
func webAddress(name, s string, schemes ...string) error {
	u, err := url.Parse(s)
	if err == nil && u.Hostname() != "" {
		for _, scheme := range schemes {
			if u.Scheme == scheme {
				return nil
			}
		}
	}
	return fmt.Errorf("the answer's %q is no address that begins with %s://", name, strings.Join(schemes, "://, "))
}
