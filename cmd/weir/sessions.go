package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"
)

// sessionsCmd is "weir sessions".
type sessionsCmd struct {
	List sessionsListCmd `cmd:"" help:"List who publishes and watches."`
	Kick sessionsKickCmd `cmd:"" help:"Disconnect one publisher or player."`
}

// Help is the text below the commands.
func (sessionsCmd) Help() string {
	return "Example: weir sessions list --stream live/cam -c weir.yml\n\nThese commands speak to the server that runs, by its admin listener."
}

// apiSession is what the API says of one.
type apiSession struct {
	ID       string  `json:"id"`
	Protocol string  `json:"protocol"`
	Role     string  `json:"role"`
	Stream   string  `json:"stream"`
	Remote   string  `json:"remote"`
	User     string  `json:"user"`
	KeyID    string  `json:"key_id"`
	Duration float64 `json:"duration"`
	Received int64   `json:"bytes_received"`
	Sent     int64   `json:"bytes_sent"`
}

type sessionsListCmd struct {
	Stream string `placeholder:"APP/NAME" help:"Only those of this stream."`
	Role   string `enum:"publish,play,waiting,pending,all" default:"all" help:"Only those in this role: ${enum}."`
	JSON   bool   `name:"json" help:"Print JSON."`
	api
}

// Help is the text below the flags.
func (sessionsListCmd) Help() string {
	return "Example: weir sessions list --stream live/cam --role play"
}

// Run implements the command.
func (c *sessionsListCmd) Run(ctx context.Context, out *console) error {
	q := url.Values{}
	if c.Stream != "" {
		q.Set("stream", c.Stream)
	}
	if c.Role != "all" {
		q.Set("role", c.Role)
	}
	all, err := c.all(ctx, "/sessions", "sessions", q)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out.Out).Encode(all)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(out.Err, "There are no such sessions.")
		return err
	}
	w := tabwriter.NewWriter(out.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tROLE\tSTREAM\tPROTOCOL\tREMOTE\tUSER\tKEY\tFOR\tRECEIVED\tSENT")
	for _, raw := range all {
		var s apiSession
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		lasted := time.Duration(s.Duration * float64(time.Second)).Round(time.Second)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%v\t%s\t%s\n",
			s.ID, s.Role, dash(s.Stream), s.Protocol, s.Remote, dash(s.User), dash(s.KeyID), lasted, size(s.Received), size(s.Sent))
	}
	return w.Flush()
}

type sessionsKickCmd struct {
	ID string `arg:"" help:"The session's id, as weir sessions list shows it."`
	api
}

// Help is the text below the flags.
func (sessionsKickCmd) Help() string {
	return "Example: weir sessions kick 7f3ak2m5qw9z1x4c\n\nEncoders and players come back by themselves: what keeps them away is the key (weir key revoke)."
}

// Run implements the command.
func (c *sessionsKickCmd) Run(ctx context.Context, out *console) error {
	if err := c.call(ctx, http.MethodDelete, "/sessions/"+url.PathEscape(c.ID), nil, nil); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out.Err, "The session %s is ended.\n", c.ID)
	return err
}
