package server

import (
	"time"

	"weir/internal/record"
)

// probesOfRecord are those of the keys of recordings.
func probesOfRecord() map[string]probe {
	all := map[string]probe{}
	for key, p := range map[string]struct {
		set  string
		see  func(c *record.Config) any
		want any
	}{
		"[].name":            {"name: x", func(c *record.Config) any { return c.Name }, "x"},
		"[].format":          {"format: flv", func(c *record.Config) any { return c.Format }, "flv"},
		"[].dir":             {"name: main", func(c *record.Config) any { return c.Dir }, "/none"},
		"[].file":            {"file: '{id}'", func(c *record.Config) any { return c.File }, "{id}"},
		"[].time":            {"time: local", func(c *record.Config) any { return c.Time }, "local"},
		"[].start":           {"name: main", func(c *record.Config) any { return c.Start }, "manual"},
		"[].tracks":          {"tracks: [audio 0 Stage]", func(c *record.Config) any { return c.Tracks }, []string{"audio 0 Stage"}},
		"[].cut":             {"cut: 1m", func(c *record.Config) any { return c.Cut }, time.Minute},
		"[].cut_size":        {"cut_size: 2MiB", func(c *record.Config) any { return c.CutSize }, int64(2 << 20)},
		"[].aligned":         {"cut: 1m, aligned: true", func(c *record.Config) any { return c.Aligned }, true},
		"[].max_gap":         {"max_gap: 1s", func(c *record.Config) any { return c.MaxGap }, time.Second},
		"[].sync":            {"sync: always", func(c *record.Config) any { return c.Sync }, "always"},
		"[].finalize":        {"finalize: none", func(c *record.Config) any { return c.Finalize }, "none"},
		"[].faststart":       {"faststart: reserve", func(c *record.Config) any { return c.Faststart }, "reserve"},
		"[].min_free":        {"min_free: 1%", func(c *record.Config) any { return c.MinFree }, "1%"},
		"[].keep.for":        {"keep: {for: 1h}", func(c *record.Config) any { return c.Keep.For }, time.Hour},
		"[].keep.total":      {"keep: {total: 2MiB}", func(c *record.Config) any { return c.Keep.Total }, int64(2 << 20)},
		"[].keep.per_stream": {"keep: {per_stream: 2MiB}", func(c *record.Config) any { return c.Keep.PerStream }, int64(2 << 20)},
		"[].keep.uploaded":   {"keep: {uploaded: 1h}", func(c *record.Config) any { return c.Keep.Uploaded }, time.Hour},
		"[].keep.free":       {"keep: {free: 1%}", func(c *record.Config) any { return c.Keep.Free }, "1%"},
		"[].upload":          {"upload: x", func(c *record.Config) any { return c.Upload }, "x"},
	} {
		all["streams[].record"+key] = probe{"[{dir: /none, start: manual, " + p.set + "}]", ofEntry(func(c *StreamConfig) any {
			if len(c.Record) == 0 {
				return nil
			}
			return p.see(&c.Record[0])
		}), p.want}
	}
	return all
}
