package record

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/av"
	"weir/internal/config"
)

// Config is one entry of streams[].record: a recording of each stream that matches.
type Config struct {
	Name    string        `yaml:"name" reload:"live" help:"what the recording is called in log, API and hooks: lower-case letters, digits, - and _; each of a stream has its own"`
	Format  string        `yaml:"format" reload:"live" enum:"mp4,flv,ts" help:"mp4 can be read at any time, also after a crash, and is a plain MP4 file once it is whole; flv has an index of key frames; applies to the next file"`
	Dir     string        `yaml:"dir" reload:"live" help:"directory of the files, an absolute path; it is made if it is missing; applies to the next file"`
	File    string        `yaml:"file" reload:"live" help:"path of a file below dir, without its extension: {path}, {app} and {name} of the stream, {start}, {date} and {time} at which the file begins, {year} to {second}, {unix}, {recording}, {id}; -2 and so on is added to one that exists; applies to the next file"`
	Time    string        `yaml:"time" reload:"live" enum:"utc,local" help:"the clock of the names, and of aligned: local is ambiguous for an hour each autumn"`
	Start   string        `yaml:"start" reload:"live" enum:"auto,manual" help:"auto records from the stream's beginning, manual when the API or the decision hook says so"`
	Tracks  []string      `yaml:"tracks" reload:"live" help:"which tracks: all, video, audio, or single ones by number, from 0 on, and, if you like, name, such as \"audio 1 Commentary\"; applies to the next file"`
	Cut     time.Duration `yaml:"cut" reload:"live" max:"8760h" help:"length at which a file ends and the next begins, at a key frame, 1s at the least; 0s never"`
	CutSize int64         `yaml:"cut_size" reload:"live" unit:"bytes" help:"size at which a file ends, in the same way; 0 never"`
	Aligned bool          `yaml:"aligned" reload:"live" help:"files end at multiples of cut by the clock: with 15m at 10:00, 10:15 and so on"`
	MaxGap  time.Duration `yaml:"max_gap" reload:"live" min:"100ms" max:"1h" help:"longest time without a frame within a file, such as while an encoder reconnects, or twice the time between the two pictures before it, if that is longer; after a longer one there is a new file"`
	Sync    string        `yaml:"sync" reload:"live" help:"when what was written is forced to the disk, which only matters if the power fails: always is after each write, close when the file is whole, and a time such as 5s that often"`
	MinFree string        `yaml:"min_free" reload:"live" help:"free space, such as 1GiB or 5%, below which no file begins and the present one ends; empty is none"`
	// Finalize and Faststart say what becomes of an MP4 file when it ends.
	Finalize  string `yaml:"finalize" reload:"live" enum:"mp4,none" help:"what becomes of an MP4 file when it ends: mp4 makes it a plain MP4 file in place, none leaves it in fragments; applies to the next file"`
	Faststart string `yaml:"faststart" reload:"live" enum:"none,reserve" help:"reserve keeps room in front of an MP4 file for its table of contents, so that it plays from the beginning of a download without ranges: for the length of cut or an hour, at most 4MiB; in a file that becomes longer the table stays behind the media; applies to the next file"`
	Keep      Keep   `yaml:"keep" help:"How long files stay; a file goes by the rule that held when it began."`
	Upload    string `yaml:"upload" reload:"live" help:"name of the entry of s3 that files are sent to; empty sends them nowhere; applies to the next file"`
}

// Keep is a rule of retention.
type Keep struct {
	For       time.Duration `yaml:"for" reload:"live" help:"age at which a file is deleted, such as 168h; 0s never"`
	Total     int64         `yaml:"total" reload:"live" unit:"bytes" help:"size of all files of the recording above which the oldest are deleted; 0 is no bound"`
	PerStream int64         `yaml:"per_stream" reload:"live" unit:"bytes" help:"size of the files of one stream above which its oldest are deleted; 0 is no bound"`
	Uploaded  time.Duration `yaml:"uploaded" reload:"live" help:"age at which a recording that was uploaded is deleted in the storage, and here if it still is, such as 2160h; 0s never"`
	Free      string        `yaml:"free" reload:"live" help:"free space of the disk, such as 50GiB or 5%, below which the oldest files are deleted; empty never deletes for that"`
}

// The bounds of what a configuration says.
const (
	// MaxEntries is how many recordings a stream may have.
	MaxEntries = 16
	maxTracks  = 32
	maxTitle   = 128 // of a track
)

// SetDefaults implements config.Defaulter.
func (c *Config) SetDefaults() {
	*c = Config{
		Name: "main", Format: "mp4", File: "{path}/{start}", Time: "utc", Start: "auto", Tracks: []string{"all"},
		MaxGap: 2 * time.Second, Sync: "5s", MinFree: "1GiB", Finalize: "mp4", Faststart: "none",
	}
}

// Validate implements config.Validator.
func (c *Config) Validate() error {
	var errs []error
	fail := func(field any, format string, args ...any) {
		errs = append(errs, config.Errorf(field, format, args...))
	}
	if err := config.CheckName(c.Name); err != nil {
		fail(&c.Name, "%w", err)
	}
	if !filepath.IsAbs(c.Dir) {
		fail(&c.Dir, "%q is no absolute path: write where the files go, such as /srv/recordings", c.Dir)
	}
	if err := checkTemplate(c.File); err != nil {
		fail(&c.File, "%w", err)
	}
	if _, err := parseSync(c.Sync); err != nil {
		fail(&c.Sync, "%q is not always, close or a time such as 5s", c.Sync)
	}
	for _, s := range []*string{&c.MinFree, &c.Keep.Free} {
		if _, err := ParseSpace(*s); err != nil {
			fail(s, "%w", err)
		}
	}
	if c.Faststart == "reserve" && (c.Finalize == "none" || c.Format != "mp4") {
		fail(&c.Faststart, "only a file that is made plain MP4 has a table of contents: leave format and finalize at mp4, or faststart at none")
	}
	if c.Aligned && c.Cut == 0 {
		fail(&c.Aligned, "there is nothing to align: set cut")
	}
	if c.Cut > 0 && c.Cut < time.Second {
		fail(&c.Cut, "%v is too short: files last 1s at least", c.Cut)
	}
	const minSize = 1 << 20
	if c.CutSize > 0 && c.CutSize < minSize {
		fail(&c.CutSize, "%d bytes are too few: files have 1MiB at least", c.CutSize)
	}
	if len(c.Tracks) == 0 || len(c.Tracks) > maxTracks {
		fail(&c.Tracks, "there are %d entries: write all, or 1 to %d of them", len(c.Tracks), maxTracks)
	}
	for i := range c.Tracks {
		if _, err := parseChoice(c.Tracks[i]); err != nil {
			fail(&c.Tracks[i], "%w", err)
		}
	}
	return errors.Join(errs...)
}

// CheckEntries refuses two recordings of one name, and more than MaxEntries.
func CheckEntries(list []Config) error {
	if len(list) > MaxEntries {
		return config.Errorf(&list[MaxEntries].Name, "more than %d recordings", MaxEntries)
	}
	seen := map[string]bool{}
	for i := range list {
		if seen[list[i].Name] {
			return config.Errorf(&list[i].Name, "two recordings are called %q: give each a name", list[i].Name)
		}
		seen[list[i].Name] = true
	}
	return nil
}

const (
	syncAlways = 0
	syncAtEnd  = time.Duration(1<<63 - 1)
)

// parseSync returns the time between two syncs.
func parseSync(s string) (time.Duration, error) {
	switch s {
	case "always":
		return syncAlways, nil
	case "close":
		return syncAtEnd, nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = errors.New("it is negative")
	}
	return d, err
}

// Space is an amount of room on a disk: bytes, or a share of all there are.
type Space struct {
	Bytes   int64
	Percent float64
}

// ParseSpace reads a size such as 1GiB or 500MB, a share such as 5%, or nothing.
func ParseSpace(s string) (Space, error) {
	if s == "" {
		return Space{}, nil
	}
	bad := fmt.Errorf("%q is neither a size such as 1GiB nor a share such as 5%%", s)
	if p, ok := strings.CutSuffix(s, "%"); ok {
		v, err := strconv.ParseFloat(p, 64)
		if err != nil || !(v >= 0 && v < 100) {
			return Space{}, bad
		}
		return Space{Percent: v}, nil
	}
	for _, u := range []struct {
		unit string
		size float64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}} {
		if n, ok := strings.CutSuffix(s, u.unit); ok {
			v, err := strconv.ParseFloat(n, 64)
			if err != nil || !(v >= 0 && v*u.size < 1<<62) {
				return Space{}, bad
			}
			return Space{Bytes: int64(v * u.size)}, nil
		}
	}
	return Space{}, bad
}

// Of returns the bytes that s stands for on a disk of so many.
func (s Space) Of(total int64) int64 { return s.Bytes + int64(float64(total)*s.Percent/100) }

// choice is one entry of tracks.
type choice struct {
	all    bool // tracks of both kinds
	kind   av.Kind
	any    bool // of the kind
	number uint8
	title  string
}

// parseChoice reads "all", "video", "audio", "audio 1" or "audio 1 Commentary".
func parseChoice(s string) (c choice, err error) {
	bad := fmt.Errorf("%q is not all, video, audio, or one track such as \"audio 1\" or \"audio 1 Commentary\"", s)
	kind, rest, numbered := strings.Cut(s, " ")
	switch kind {
	case "all":
		c.all = true
	case "video":
		c.kind = av.Video
	case "audio":
		c.kind = av.Audio
	default:
		return c, bad
	}
	if !numbered {
		c.any = true
		return c, nil
	}
	number, title, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(number, 10, 8)
	title = strings.TrimSpace(title)
	if c.all || err != nil || len(title) > maxTitle || strings.ContainsFunc(title, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return c, bad
	}
	c.number, c.title = uint8(n), title
	return c, nil
}

// plan is a Config that can be used without parsing.
type plan struct {
	Config
	choices []choice
	sync    time.Duration
	minFree Space
}

// newPlan compiles a valid entry.
func newPlan(c *Config) *plan {
	p := &plan{Config: *c}
	p.Dir = filepath.Clean(p.Dir)
	for _, s := range c.Tracks {
		if x, err := parseChoice(s); err == nil {
			p.choices = append(p.choices, x)
		}
	}
	p.sync, _ = parseSync(c.Sync)
	p.minFree, _ = ParseSpace(c.MinFree)
	return p
}

// wants reports whether a track is recorded, and by which name.
func (p *plan) wants(kind av.Kind, id uint8) (title string, ok bool) {
	for i := range p.choices {
		x := &p.choices[i]
		if kind == av.Data || !x.all && (x.kind != kind || !x.any && x.number != id) {
			continue
		}
		if ok = true; x.title != "" {
			return x.title, true
		}
	}
	return "", ok
}

// wantsKind reports whether any track of a kind is recorded.
func (p *plan) wantsKind(kind av.Kind) bool {
	return slices.ContainsFunc(p.choices, func(c choice) bool { return c.all || c.kind == kind })
}

// zone is that of names and marks.
func (p *plan) zone() *time.Location {
	if p.Time == "local" {
		return time.Local
	}
	return time.UTC
}

// replaces reports whether a file by the plan old is not to go on under p.
func (p *plan) replaces(old *plan) bool {
	return p.Format != old.Format || p.Finalize != old.Finalize || p.Faststart != old.Faststart || p.Dir != old.Dir || p.File != old.File || !slices.Equal(p.Tracks, old.Tracks)
}
