package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
)

// pullsCmd is "weir pulls".
type pullsCmd struct {
	List  pullsListCmd  `cmd:"" help:"List the streams that are fetched from other servers, and why sources fail."`
	Retry pullsRetryCmd `cmd:"" help:"Try the sources of a stream at once; one that is live is opened anew."`
}

// Help is the text below the commands.
func (pullsCmd) Help() string {
	return "Example: weir pulls list --status retrying -c weir.yml\n\nThese commands speak to the server that runs, by its admin listener. Which streams are fetched is said in the configuration (streams[].pull, edge) or by the API (POST /api/v1/pulls)."
}

// pull is what the API says of one.
type pull struct {
	Stream    string     `json:"stream"`
	By        string     `json:"by"`
	Status    string     `json:"status"`
	Since     time.Time  `json:"since"`
	Source    string     `json:"source"`
	NextTry   *time.Time `json:"next_try"`
	LastError string     `json:"last_error"`
	Failures  []struct {
		Text string `json:"text"`
	} `json:"failures"`
}

type pullsListCmd struct {
	Stream string `arg:"" optional:"" help:"Only that of this stream, such as live/cam."`
	Status string `enum:"idle,connecting,live,retrying,failed,absent,standby,all" default:"all" help:"Only those with this status: ${enum}."`
	JSON   bool   `name:"json" help:"Print JSON."`
	api
}

// Help is the text below the flags.
func (pullsListCmd) Help() string { return "Example: weir pulls list live/cam" }

// Run implements the command.
func (c *pullsListCmd) Run(ctx context.Context, out *console) error {
	q := url.Values{}
	if c.Stream != "" {
		q.Set("stream", c.Stream)
	}
	if c.Status != "all" {
		q.Set("status", c.Status)
	}
	all, err := c.all(ctx, "/pulls", "pulls", q)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out.Out).Encode(all)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(out.Err, "No such stream is fetched.")
		return err
	}
	w := tabwriter.NewWriter(out.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "STREAM\tSTATUS\tFOR\tBY\tSOURCE")
	var failures strings.Builder
	for _, raw := range all {
		var p pull
		if err := json.Unmarshal(raw, &p); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%v\t%s\t%s\n", p.Stream, p.Status, time.Since(p.Since).Round(time.Second), p.By, dash(p.Source))
		p.remark(&failures)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = io.WriteString(out.Out, failures.String())
	return err
}

// remark says why its sources have failed, one a line, and when they are tried again.
func (p *pull) remark(b *strings.Builder) {
	var texts []string
	for _, f := range p.Failures {
		texts = append(texts, f.Text)
	}
	if len(texts) == 0 && p.LastError != "" {
		texts = append(texts, p.LastError)
	}
	again := ""
	if p.NextTry != nil {
		again = "; tried again at " + p.NextTry.Local().Format(time.TimeOnly)
	}
	for _, text := range texts {
		fmt.Fprintf(b, "%s: %s%s\n", p.Stream, text, again)
	}
}

type pullsRetryCmd struct {
	Stream string `arg:"" help:"The stream, such as live/cam."`
	api
}

// Help is the text below the flags.
func (pullsRetryCmd) Help() string { return "Example: weir pulls retry live/cam" }

// Run implements the command.
func (c *pullsRetryCmd) Run(ctx context.Context, out *console) error {
	if err := c.call(ctx, http.MethodPost, "/pulls/retry", map[string]any{"stream": c.Stream}, nil); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out.Err, "The sources of %s are tried now.\n", c.Stream)
	return err
}
