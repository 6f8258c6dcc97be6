package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir"
	"weir/internal/admit"
	"weir/internal/session"
)

// signCmd is "weir sign".
type signCmd struct {
	Path    string `arg:"" help:"The stream, such as live/alice; live/** is every stream below live. With auth.signed.scheme ome a whole URL, such as rtmp://HOST:1935/live/alice, and with secure_link its path, such as /live/alice.m3u8."`
	Role    string `enum:"publish,play" default:"play" help:"What the link admits to: publish or play."`
	For     span   `xor:"end" placeholder:"DURATION" help:"How long the link admits, such as 1h."`
	Expires string `xor:"end" placeholder:"TIME" help:"When the link stops admitting peers, such as 2027-01-31T18:00:00Z."`
	From    string `placeholder:"TIME" help:"When the link begins to admit."`
	IP      string `name:"ip" placeholder:"RANGE" help:"Address or range from which alone the link may be used, such as 203.0.113.0/24."`
	Until   string `placeholder:"TIME" help:"When sessions that the link admitted end; without it they go on when the link has run out."`
	Kid     string `placeholder:"ID" help:"The key of auth.signed to sign with; the first one otherwise."`
	source
}

// Help is the text below the flags.
func (signCmd) Help() string {
	return "Example: weir sign live/alice --for 1h -c weir.yml\n\n" +
		"It prints the query that is put behind the stream's name, with ? before it: rtmp://HOST/live/alice?exp=… or https://HOST/live/alice.m3u8?exp=…. Host, port and protocol are free. The server needs the same key in auth.signed, and signed in the auth of the streams' entry."
}

// Run implements the command.
func (c *signCmd) Run(out *console) error {
	conf, err := c.part("auth.signed.")
	if err != nil {
		return err
	}
	all := conf.Config()
	signed := all.Auth.Signed
	query, err := c.sign(&signed, time.Now())
	if err != nil {
		return usageError{err}
	}
	if hint := c.hint(&all); hint != "" {
		fmt.Fprintln(out.Err, hint)
	}
	_, err = fmt.Fprintln(out.Out, query)
	return err
}

// hint says why a link will probably not admit to what was meant; empty if nothing is seen to be wrong.
func (c *signCmd) hint(conf *weir.Config) string {
	if conf.Auth.Signed.Scheme != "weir" {
		return ""
	}
	path := strings.TrimPrefix(c.Path, "/")
	for _, end := range []string{"/index.m3u8", ".m3u8", ".flv", ".ts"} {
		if stream, ok := strings.CutSuffix(path, end); ok {
			return fmt.Sprintf("%s is the address of a player and no stream: the link is for the stream %s; write weir sign %s", c.Path, stream, stream)
		}
	}
	var patterns []string
	for _, e := range conf.Streams {
		patterns = append(patterns, e.Match)
	}
	m, err := admit.NewMatcher(patterns)
	if err != nil || strings.Contains(path, "*") {
		return ""
	}
	i := m.Match(path)
	if i < 0 {
		return fmt.Sprintf("No entry of streams matches %s, and so nobody asks for the link: add one with %s: {auth: [signed]}", path, c.Role)
	}
	rule := &conf.Streams[i].Play.Rule
	if c.Role == session.Publish.String() {
		rule = &conf.Streams[i].Publish.Rule
	}
	if !slices.Contains(rule.Auth, admit.BySigned) {
		return fmt.Sprintf("streams.%d (%s) does not take signed links: add signed to its %s.auth", i, conf.Streams[i].Match, c.Role)
	}
	return ""
}

// sign returns the query.
func (c *signCmd) sign(conf *admit.SignedConfig, now time.Time) (string, error) {
	keys := conf.Keys
	i := slices.IndexFunc(keys, func(k admit.SigningKey) bool { return c.Kid == "" || k.ID == c.Kid })
	switch {
	case len(keys) == 0:
		return "", errors.New("the configuration has no key to sign with: add auth: {signed: {keys: [{id: a, secret: …}]}}; `weir token` makes a secret")
	case i < 0:
		return "", fmt.Errorf("auth.signed has no key with the id %q", c.Kid)
	case c.For == 0 && c.Expires == "":
		return "", errors.New("say how long the link admits, with --for 1h or --expires 2027-01-31T18:00:00Z")
	}
	s := admit.Signed{Role: session.Play}
	if c.Role == session.Publish.String() {
		s.Role = session.Publish
	}
	var err error
	if s.Addresses, err = admit.ParseAddresses(c.IP); err != nil {
		return "", fmt.Errorf("--ip: %q is neither an address nor a range such as 203.0.113.0/24", c.IP)
	}
	if s.Expires, err = endOf(time.Duration(c.For), c.Expires, now); err != nil {
		return "", err
	}
	if s.Until, err = endOf(0, c.Until, now); err != nil {
		return "", err
	}
	if c.From != "" {
		if s.NotBefore, err = parseTime(c.From); err != nil {
			return "", err
		}
	}
	return conf.SignLink(&keys[i], &s, c.Path)
}
