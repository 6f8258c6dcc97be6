package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// recordingsCmd is "weir recordings".
type recordingsCmd struct {
	List   recordingsListCmd   `cmd:"" help:"List what was recorded."`
	Get    recordingsGetCmd    `cmd:"" help:"Download a file, or a range of time of a stream as one MP4 file."`
	Delete recordingsDeleteCmd `cmd:"" help:"Delete files."`
}

// Help is the text below the commands.
func (recordingsCmd) Help() string {
	return "Example: weir recordings list live/cam -c weir.yml\n\n" +
		"The commands ask a running server by its API, at the address and with the token that the configuration has under admin."
}

// fetch asks the API for what may be long. The caller closes the answer's body.
func (a *api) fetch(ctx context.Context, path string) (*http.Response, error) {
	base, token, err := a.address()
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1"+path, nil)
	if err != nil {
		return nil, usageError{fmt.Errorf("--api: %w", err)}
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{ResponseHeaderTimeout: apiTime, DisableKeepAlives: true}}
	answer, err := client.Do(r)
	var failed *url.Error
	if errors.As(err, &failed) { // its text has the address, which may be a link to the storage that others could use
		err = failed.Err
		if at, bad := url.Parse(failed.URL); bad == nil && at.Host != r.URL.Host {
			return nil, fmt.Errorf("the file is only in the storage, which does not answer at %s: %w", at.Host, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("no server answers at %s: %w", base, err)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", base, err)
	}
	return nil, problemOf(answer, b)
}

// timeFlags are the flags of a range of time.
type timeFlags struct {
	From string `placeholder:"TIME" help:"Beginning, such as 2027-01-31T18:00:00Z, or how long ago, such as 2h."`
	To   string `placeholder:"TIME" help:"End, in the same way."`
}

// query adds the range to a query.
func (f *timeFlags) query(q url.Values, now time.Time) error {
	for _, x := range []struct{ key, text string }{{"from", f.From}, {"to", f.To}} {
		if x.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, x.text)
		if err != nil {
			d, bad := time.ParseDuration(x.text)
			if bad != nil || d < 0 {
				return usageError{fmt.Errorf("--%s %q is no time: write 2027-01-31T18:00:00Z, or how long ago, such as 2h", x.key, x.text)}
			}
			t = now.Add(-d)
		}
		q.Set(x.key, t.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

type recordingsListCmd struct {
	Path string `arg:"" optional:"" help:"The stream, such as live/cam; all streams without it."`
	timeFlags
	Files bool `help:"A line for each file instead of each span."`
	JSON  bool `name:"json" help:"Print JSON."`
	api
}

// Help is the text below the flags.
func (recordingsListCmd) Help() string {
	return "Example: weir recordings list live/cam --from 24h -c weir.yml"
}

// recordingList is a page of what the API lists.
type recordingList struct {
	Spans []struct {
		Path      string    `json:"path"`
		Recording string    `json:"recording"`
		From      time.Time `json:"from"`
		To        time.Time `json:"to"`
		Duration  float64   `json:"duration"`
		Codecs    string    `json:"codecs"`
		Files     []struct {
			ID       string    `json:"id"`
			Name     string    `json:"name"`
			Format   string    `json:"format"`
			State    string    `json:"state"`
			Start    time.Time `json:"start"`
			Duration float64   `json:"duration"`
			Bytes    int64     `json:"bytes"`
			Uploaded bool      `json:"uploaded"`
		} `json:"files"`
	} `json:"spans"`
	Gaps []recordingGap `json:"gaps"`
	Next string         `json:"next,omitempty"`
}

// recordingGap is time between two spans.
type recordingGap struct {
	Path      string    `json:"path"`
	Recording string    `json:"recording"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Duration  float64   `json:"duration"`
	Reason    string    `json:"reason"`
}

// Run implements the command.
func (c *recordingsListCmd) Run(ctx context.Context, out *console) error {
	q := url.Values{}
	if c.Path != "" {
		q.Set("path", c.Path)
	}
	if err := c.query(q, time.Now()); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out.Out, 0, 8, 2, ' ', 0)
	for n := 0; ; n++ {
		var list recordingList
		if err := c.call(ctx, http.MethodGet, "/recordings?"+q.Encode(), nil, &list); err != nil {
			return err
		}
		if c.JSON { // a page a line
			if err := json.NewEncoder(out.Out).Encode(list); err != nil {
				return err
			}
		} else {
			c.print(w, &list, n == 0)
		}
		if list.Next == "" {
			break
		}
		q.Set("cursor", list.Next)
	}
	return w.Flush()
}

// print prints a page.
func (c *recordingsListCmd) print(w io.Writer, list *recordingList, head bool) {
	if c.Files {
		if head {
			fmt.Fprintln(w, "ID\tSTREAM\tSTART\tDURATION\tBYTES\tSTATE\tFILE")
		}
		for _, s := range list.Spans {
			for _, f := range s.Files {
				if f.Uploaded && f.State == "done" {
					f.State = "uploaded"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", f.ID, s.Path, clock(f.Start), lasting(f.Duration), f.Bytes, f.State, f.Name)
			}
		}
		return
	}
	if head {
		fmt.Fprintln(w, "STREAM\tRECORDING\tFROM\tTO\tDURATION\tFILES\tCODECS")
	}
	gaps := list.Gaps
	for _, s := range list.Spans {
		gaps = slices.DeleteFunc(slices.Clone(gaps), func(g recordingGap) bool {
			before := g.Path == s.Path && g.Recording == s.Recording && g.From.Before(s.From)
			if before {
				g.print(w)
			}
			return before
		})
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", s.Path, s.Recording, clock(s.From), clock(s.To), lasting(s.Duration), len(s.Files), s.Codecs)
	}
	for i := range gaps {
		gaps[i].print(w)
	}
}

// print prints a line.
func (g *recordingGap) print(w io.Writer) {
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t-\t%s\n", g.Path, g.Recording, clock(g.From), clock(g.To), lasting(g.Duration), "gap: "+g.Reason)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func lasting(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
}

type recordingsGetCmd struct {
	What string `arg:"" help:"The id of a file, or a stream such as live/cam with --from."`
	timeFlags
	Duration  time.Duration `placeholder:"DURATION" help:"Length, in the place of --to, such as 10m."`
	Gaps      string        `enum:"skip,hold,error" default:"skip" help:"What becomes of time that is missing: skip leaves it out, hold keeps the last picture, error refuses."`
	Recording string        `placeholder:"NAME" help:"Which recording of the stream; otherwise that which has most of the range."`
	Output    string        `short:"o" placeholder:"FILE" help:"File to write, which must not exist; - is standard output. Otherwise it is named after the stream or the file's id."`
	Force     bool          `help:"Overwrite the file if it exists."`
	api
}

// Help is the text below the flags.
func (recordingsGetCmd) Help() string {
	return "Example: weir recordings get live/cam --from 2027-01-31T18:00:00Z --duration 10m -o goal.mp4 -c weir.yml"
}

// Run implements the command.
func (c *recordingsGetCmd) Run(ctx context.Context, out *console) error {
	q, path, name := url.Values{}, "/recordings/clip", strings.ReplaceAll(c.What, "/", "-")+".mp4"
	if strings.Contains(c.What, "/") {
		if c.From == "" {
			return usageError{errors.New("give --from, and --to or --duration, for a stream; weir recordings list shows what there is")}
		}
		q.Set("path", c.What)
		q.Set("gaps", c.Gaps)
		if c.Recording != "" {
			q.Set("recording", c.Recording)
		}
		if c.Duration > 0 {
			q.Set("duration", strconv.FormatFloat(c.Duration.Seconds(), 'f', -1, 64))
		}
		if err := c.query(q, time.Now()); err != nil {
			return err
		}
	} else {
		path = "/recordings/" + url.PathEscape(c.What) + "/content"
	}
	answer, err := c.fetch(ctx, path+"?"+q.Encode())
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if c.Output == "-" {
		_, err := io.Copy(out.Out, answer.Body)
		return err
	}
	if c.Output != "" {
		name = c.Output
	} else if answer.Header.Get("Content-Type") == "video/x-flv" {
		name = strings.TrimSuffix(name, ".mp4") + ".flv"
	} else if answer.Header.Get("Content-Type") == "video/mp2t" {
		name = strings.TrimSuffix(name, ".mp4") + ".ts"
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(name, mode, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usageError{fmt.Errorf("%s exists: give another name with -o, or --force", name)}
	}
	if err != nil {
		return err
	}
	n, err := io.Copy(f, answer.Body)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s is not whole: %w", name, err)
	}
	for _, skipped := range answer.Header.Values("Weir-Skipped") {
		if text, err := url.PathUnescape(skipped); err == nil {
			skipped = text
		}
		fmt.Fprintf(out.Err, "%s is damaged and left out.\n", skipped)
	}
	_, err = fmt.Fprintf(out.Err, "%s: %d bytes.\n", name, n)
	return err
}

type recordingsDeleteCmd struct {
	IDs []string `arg:"" name:"id" help:"The ids of the files, as weir recordings list --files shows them."`
	api
}

// Help is the text below the flags.
func (recordingsDeleteCmd) Help() string {
	return "Example: weir recordings delete 01KB0Z2V5QJX3W6T1Y8D9E4R7M -c weir.yml"
}

// Run implements the command.
func (c *recordingsDeleteCmd) Run(ctx context.Context, out *console) error {
	for _, id := range c.IDs {
		if err := c.call(ctx, http.MethodDelete, "/recordings/"+url.PathEscape(id), nil, nil); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		fmt.Fprintf(out.Err, "%s is deleted.\n", id)
	}
	return nil
}
