package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
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

// api is the flags of commands that ask a running server.
type api struct {
	API string `name:"api" placeholder:"URL" help:"Where the server's API is, such as http://127.0.0.1:8088; by default at admin.listen of the configuration."`
	source
}

// answerTime is how long a server may take to begin an answer.
const answerTime = 30 * time.Second

// ask sends a request to the API. The caller closes the answer's body, which is whole only if ask returns no error.
func (a *api) ask(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	c, err := a.load()
	if err != nil {
		return nil, err
	}
	conf := c.Config().Admin
	base := a.API
	if base == "" {
		if base, err = apiAt(conf.Listen); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usageError{fmt.Errorf("--api %q is no address such as http://127.0.0.1:8088", base)}
	}
	u = u.JoinPath("api/v1", path)
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if conf.Token != "" {
		r.Header.Set("Authorization", "Bearer "+conf.Token)
	}
	client := http.Client{Transport: &http.Transport{ResponseHeaderTimeout: answerTime, DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("the server's API does not answer: %w; is the server running, and is admin.listen or --api where it listens?", err)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	var problem struct{ Detail string }
	if json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&problem) == nil && problem.Detail != "" {
		return nil, fmt.Errorf("the server says: %s", problem.Detail)
	}
	return nil, fmt.Errorf("the server answers %s", answer.Status)
}

// apiAt returns where the API is that listens at an address.
func apiAt(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port == "0" {
		return "", usageError{fmt.Errorf("admin.listen is %q, which does not say where the API is: give --api", listen)}
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
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
	Gaps []struct {
		Path      string    `json:"path"`
		Recording string    `json:"recording"`
		From      time.Time `json:"from"`
		To        time.Time `json:"to"`
		Duration  float64   `json:"duration"`
		Reason    string    `json:"reason"`
	} `json:"gaps"`
	Next string `json:"next,omitempty"`
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
		answer, err := c.ask(ctx, http.MethodGet, "recordings", q)
		if err != nil {
			return err
		}
		var list recordingList
		err = json.NewDecoder(answer.Body).Decode(&list)
		_ = answer.Body.Close()
		if err != nil {
			return fmt.Errorf("the server's answer cannot be read: %w", err)
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
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", f.ID, s.Path, clock(f.Start), lasting(f.Duration), f.Bytes, f.State, f.Name)
			}
		}
		return
	}
	if head {
		fmt.Fprintln(w, "STREAM\tRECORDING\tFROM\tTO\tDURATION\tFILES\tCODECS")
	}
	for _, s := range list.Spans {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", s.Path, s.Recording, clock(s.From), clock(s.To), lasting(s.Duration), len(s.Files), s.Codecs)
	}
	for _, g := range list.Gaps {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t-\t%s\n", g.Path, g.Recording, clock(g.From), clock(g.To), lasting(g.Duration), "gap: "+g.Reason)
	}
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
	q, path, name := url.Values{}, "recordings/clip", strings.ReplaceAll(c.What, "/", "-")+".mp4"
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
		path = "recordings/" + url.PathEscape(c.What) + "/content"
	}
	answer, err := c.ask(ctx, http.MethodGet, path, q)
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
		answer, err := c.ask(ctx, http.MethodDelete, "recordings/"+url.PathEscape(id), nil)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		_ = answer.Body.Close()
		fmt.Fprintf(out.Err, "%s is deleted.\n", id)
	}
	return nil
}
