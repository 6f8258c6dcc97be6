package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// pushesCmd is "weir pushes".
type pushesCmd struct {
	List   pushesListCmd   `cmd:"" help:"List the servers that streams are also sent to, what they do, and why they fail."`
	Add    pushesAddCmd    `cmd:"" help:"Send a stream to another server, too."`
	Remove pushesRemoveCmd `cmd:"" help:"Send it there no longer."`
	On     pushesOnCmd     `cmd:"" help:"Turn one on."`
	Off    pushesOffCmd    `cmd:"" help:"Turn one off: the server there is told that the stream is over."`
	Retry  pushesRetryCmd  `cmd:"" help:"Try one at once that waits after a failure."`
}

// Help is the text below the commands.
func (pushesCmd) Help() string {
	return "Example: weir pushes list -c weir.yml\n\nThese commands speak to the server that runs, by its admin listener. What they change lasts until they change it again, with a folder of state (key state) across restarts. What is to last for all streams of an app belongs into the configuration: streams[].push."
}

// push is what the API says of one.
type push struct {
	Stream  string     `json:"stream"`
	Name    string     `json:"name"`
	Service string     `json:"service"`
	URL     string     `json:"url"`
	Origin  string     `json:"origin"`
	State   string     `json:"state"`
	Error   string     `json:"error"`
	NextTry *time.Time `json:"next_try"`
	Bytes   int64      `json:"bytes_sent"`
	Lag     float64    `json:"lag"`
	Stalled float64    `json:"stalled"`
	Notes   []string   `json:"notes"`
}

// path is that of one in the API.
func pushPath(stream, name, then string) string {
	return "/pushes/" + url.PathEscape(name) + then + "/" + url.PathEscape(stream)
}

type pushesListCmd struct {
	Stream string `arg:"" optional:"" help:"Only those of this stream, such as live/cam, also if it is not live."`
	JSON   bool   `name:"json" help:"Print JSON."`
	api
}

// Help is the text below the flags.
func (pushesListCmd) Help() string { return "Example: weir pushes list live/cam" }

// Run implements the command.
func (c *pushesListCmd) Run(ctx context.Context, out *console) error {
	all, err := c.all(ctx, "/pushes", "pushes", url.Values{"stream": {c.Stream}})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out.Out).Encode(all)
	}
	list := make([]push, len(all))
	for i := range all {
		if err := json.Unmarshal(all[i], &list[i]); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(out.Err, "No stream is sent on.")
		return err
	}
	w := tabwriter.NewWriter(out.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "STREAM\tNAME\tSTATE\tLAG\tSENT\tFROM\tURL")
	for _, p := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Stream, p.Name, p.State, p.lag(), size(p.Bytes), p.Origin, p.URL)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return remarks(out.Out, list)
}

// live reports whether the server there has taken the stream.
func (p *push) live() bool { return p.State == "live" || p.State == "slate" || p.State == "away" }

// lag is how far behind it is.
func (p *push) lag() string {
	if !p.live() {
		return "-"
	}
	return fmt.Sprintf("%.1fs", p.Lag)
}

// remarks prints what is wrong, one a line.
func remarks(w io.Writer, list []push) error {
	var b strings.Builder
	for _, p := range list {
		if p.Error != "" {
			fmt.Fprintf(&b, "%s %s: %s", p.Stream, p.Name, p.Error)
			if p.NextTry != nil {
				fmt.Fprintf(&b, "; tried again at %s", p.NextTry.Local().Format(time.TimeOnly))
			}
			if p.State == "refused" && !strings.Contains(p.Error, "weir pushes retry") {
				fmt.Fprintf(&b, "; at once by weir pushes retry %s %s", p.Stream, p.Name)
			}
			b.WriteString("\n")
		}
		if p.Stalled > 0 {
			fmt.Fprintf(&b, "%s %s: the server there has taken nothing for %.0f s\n", p.Stream, p.Name, p.Stalled)
		}
		for _, n := range p.Notes {
			fmt.Fprintf(&b, "%s %s: %s\n", p.Stream, p.Name, n)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type pushesAddCmd struct {
	Stream  string `arg:"" help:"The stream, such as live/cam. It need not be live."`
	URL     string `arg:"" optional:"" help:"Where to: rtmp://HOST/APP or rtmps://HOST/APP; with the key behind it, rtmp://HOST/APP/KEY, others on this machine can see it while the command runs."`
	Service string `enum:"custom,youtube,twitch,facebook,kick,ivs,x,cloudflare,linkedin,restream,trovo,vimeo,dlive" default:"custom" help:"A known service, whose URL need not be given: ${enum}."`
	Key     string `placeholder:"FILE" help:"File with the stream key there; - is standard input."`
	Name    string `placeholder:"NAME" help:"What it is called; made of the service or the host otherwise."`
	Slate   string `default:"off" placeholder:"SLATE" help:"What the server is sent while the publisher is away: off is nothing, repeat the last key frame and silence, else a file of the server, .flv, .mp4 or .ts, that is played again and again."`
	Caps    string `enum:"auto,on" default:"auto" help:"Whether Enhanced RTMP is announced there: auto as OBS does, on."`
	Pin     string `placeholder:"SHA256" help:"Fingerprint of the server's certificate, which alone is accepted then."`
	api
}

// Help is the text below the flags.
func (pushesAddCmd) Help() string {
	return "Example: weir pushes add live/cam --service twitch --key twitch.key\n\nTo another server: weir pushes add live/cam rtmp://192.0.2.7/live/cam"
}

// Run implements the command.
func (c *pushesAddCmd) Run(ctx context.Context, out *console) error {
	in := map[string]any{"stream": c.Stream, "service": c.Service, "slate": c.Slate, "caps": c.Caps}
	for name, value := range map[string]string{"url": c.URL, "name": c.Name, "pin": c.Pin} {
		if value != "" {
			in[name] = value
		}
	}
	if c.Key != "" {
		key, err := readKey(c.Key, os.Stdin)
		if err != nil {
			return err
		}
		in["key"] = key
	}
	var p push
	if err := c.call(ctx, http.MethodPost, "/pushes", in, &p); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out.Err, "%s is sent to %s as %s; it is %s.\n", p.Stream, p.URL, p.Name, p.State)
	return err
}

// readKey reads the first line of a file.
func readKey(name string, stdin io.Reader) (string, error) {
	r := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", usageError{fmt.Errorf("the key: %w", err)}
		}
		defer func() { _ = f.Close() }()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, 4096))
	if err != nil {
		return "", fmt.Errorf("the key: %w", err)
	}
	key, _, _ := strings.Cut(string(b), "\n")
	if key = strings.TrimSpace(key); key == "" {
		return "", usageError{errors.New("there is no key in the file")}
	}
	return key, nil
}

// onePush is the arguments that name one.
type onePush struct {
	Stream string `arg:"" help:"The stream, such as live/cam."`
	Name   string `arg:"" help:"Its name, as weir pushes list shows it."`
	api
}

// enable turns it on or off.
func (c *onePush) enable(ctx context.Context, out *console, on bool) error {
	var p push
	if err := c.call(ctx, http.MethodPatch, pushPath(c.Stream, c.Name, ""), map[string]any{"enabled": on}, &p); err != nil {
		return err
	}
	return c.say(out, &p)
}

func (c *onePush) say(out *console, p *push) error {
	_, err := fmt.Fprintf(out.Err, "%s %s is %s.\n", p.Stream, p.Name, p.State)
	return err
}

type pushesRemoveCmd struct{ onePush }

// Help is the text below the flags.
func (pushesRemoveCmd) Help() string { return "Example: weir pushes remove live/cam twitch" }

// Run implements the command.
func (c *pushesRemoveCmd) Run(ctx context.Context, out *console) error {
	if err := c.call(ctx, http.MethodDelete, pushPath(c.Stream, c.Name, ""), nil, nil); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out.Err, "%s is no longer sent to %s.\n", c.Stream, c.Name)
	return err
}

type pushesOnCmd struct{ onePush }

// Help is the text below the flags.
func (pushesOnCmd) Help() string { return "Example: weir pushes on live/cam twitch" }

// Run implements the command.
func (c *pushesOnCmd) Run(ctx context.Context, out *console) error { return c.enable(ctx, out, true) }

type pushesOffCmd struct{ onePush }

// Help is the text below the flags.
func (pushesOffCmd) Help() string { return "Example: weir pushes off live/cam twitch" }

// Run implements the command.
func (c *pushesOffCmd) Run(ctx context.Context, out *console) error { return c.enable(ctx, out, false) }

type pushesRetryCmd struct{ onePush }

// Help is the text below the flags.
func (pushesRetryCmd) Help() string { return "Example: weir pushes retry live/cam twitch" }

// Run implements the command.
func (c *pushesRetryCmd) Run(ctx context.Context, out *console) error {
	var p push
	if err := c.call(ctx, http.MethodPost, pushPath(c.Stream, c.Name, "/retry"), nil, &p); err != nil {
		return err
	}
	if p.live() {
		_, err := fmt.Fprintf(out.Err, "%s %s is %s: there is nothing to try again.\n", p.Stream, p.Name, p.State)
		return err
	}
	return c.say(out, &p)
}
