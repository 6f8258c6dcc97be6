package record

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestNames (C-413): names stay below the directory, and are what every file system takes.
func TestNames_C413(t *testing.T) {
	at := time.Date(2026, 11, 27, 9, 5, 3, 0, time.UTC)
	for _, c := range []struct{ template, stream, want string }{
		{"{path}/{start}", "live/cam", "live/cam/2026-11-27T09-05-03Z"},
		{"{app}-{name}/{date}/{time}", "live/a/b", "live-a/b/2026-11-27/09-05-03Z"},
		{"{year}/{month}/{day}/{hour}{minute}{second}-{unix}", "live/cam", "2026/11/27/090503-1795770303"},
		{"{recording}/{id}", "live/cam", "main/01ID"},
		{"{path}", "live/../x", "live/_/x"},
		{"{path}", "live/con", "live/_con"},
		{"{path}", "live/Com1.txt", "live/_Com1.txt"},
		{"{path}", "live/a:b", "live/a_b"},
		{"{path}", "live/.hidden", "live/_.hidden"},
		{"{path}", "live/-rf", "live/_-rf"},
		{"{path}", "live/%2e%2e", "live/%2e%2e"},
		{"{path}", "live/x.part", "live/x.part_"},
		{"{path}", "live/end. ", "live/end"},
		{"{path}", "live/\u202egnp", "live/_gnp"},
		{"{name}", "live/été", "été"},
	} {
		if got := expand(c.template, &nameParts{stream: c.stream, recording: "main", id: "01ID", at: at}); got != c.want {
			t.Errorf("%s of %q: %q, want %q", c.template, c.stream, got, c.want)
		}
	}
	zone := time.FixedZone("", -5*3600)
	if got := expand("{start}", &nameParts{at: at.In(zone)}); got != "2026-11-27T04-05-03-0500" {
		t.Error(got)
	}
	long := expand("{name}", &nameParts{stream: "live/" + strings.Repeat("ü", 125)})
	other := expand("{name}", &nameParts{stream: "live/" + strings.Repeat("ü", 124) + "ö"})
	if len(long) > maxSegment || !utf8.ValidString(long) || long == other {
		t.Errorf("%q and %q", long, other)
	}
}

// TestNamesOfAnything: whatever a stream is called, its file is below the directory.
func TestNamesOfAnything_C413(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream := rapid.String().Draw(t, "stream")
		got := expand("{path}/{name}", &nameParts{stream: stream})
		if !filepath.IsLocal(got) || strings.ContainsAny(got, "\\:*?\"<>|\x00") || !utf8.ValidString(got) {
			t.Fatalf("%q became %q", stream, got)
		}
		for s := range strings.SplitSeq(got, "/") {
			if len(s) > maxSegment+1 || strings.HasPrefix(s, ".") || strings.HasSuffix(s, PartSuffix) {
				t.Fatalf("%q became %q", stream, got)
			}
		}
	})
}

// TestTemplates refuses those that leave the directory or say what is not known.
func TestTemplates_C413(t *testing.T) {
	for template, ok := range map[string]bool{
		"{path}/{start}": true, "a": true, "{name}": true, "x{id}y": true,
		"": false, "/abs": false, "{name}/../../x": false, "../x": false, "a//b": false, "./a": false, `a\b`: false, "{nme}": false, "{path": false,
		strings.Repeat("a", maxTemplate): true, strings.Repeat("a", maxTemplate+1): false,
	} {
		if err := checkTemplate(template); (err == nil) != ok {
			t.Errorf("%q: %v", template, err)
		}
	}
}

// TestMarks (P9): files end at multiples of cut by the clock, also on the days on which it is put forward or back.
func TestMarks_P9(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at, every, want string
	}{
		{"2026-11-27T10:07:00Z", "15m", "2026-11-27T10:15:00Z"},
		{"2026-11-27T10:15:00Z", "15m", "2026-11-27T10:30:00Z"},
		{"2026-11-27T23:59:59.999Z", "1h", "2026-11-28T00:00:00Z"},
		{"2026-11-27T10:07:00+01:00", "24h", "2026-11-28T00:00:00+01:00"},
		{"2026-03-28T10:07:00+01:00", "24h", "2026-03-29T00:00:00+01:00"},
		{"2026-03-29T00:30:00+01:00", "24h", "2026-03-30T00:00:00+02:00"}, // 23 hours
		{"2026-03-29T01:30:00+01:00", "1h", "2026-03-29T03:00:00+02:00"},
		{"2026-10-25T00:30:00+02:00", "24h", "2026-10-26T00:00:00+01:00"}, // 25 hours
		{"2026-10-25T02:30:00+02:00", "1h", "2026-10-25T02:00:00+01:00"},  // which comes twice
		{"2026-10-25T02:30:00+01:00", "1h", "2026-10-25T03:00:00+01:00"},
		{"2026-10-25T02:50:00+02:00", "15m", "2026-10-25T02:00:00+01:00"},
	} {
		at, _ := time.Parse(time.RFC3339Nano, c.at)
		if !strings.HasSuffix(c.at, "Z") {
			at = at.In(zone)
		}
		every, _ := time.ParseDuration(c.every)
		if got := nextMark(at, every).Format(time.RFC3339); got != c.want {
			t.Errorf("after %s every %s: %s, want %s", c.at, c.every, got, c.want)
		}
	}
}

// TestMarksAlwaysComeAfter: a mark is after its time, and not farther away than the clock may be put back.
func TestMarksAlwaysComeAfter_P9(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(1.7e9, 1.9e9).Draw(t, "at"), 0).In(zone)
		every := rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}).Draw(t, "every")
		mark := nextMark(at, every)
		if d := mark.Sub(at); d <= 0 || d > every+time.Hour {
			t.Fatalf("after %v every %v: %v", at, every, mark)
		}
	})
}

// TestSpace reads sizes and shares.
func TestSpace(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1GiB": 1 << 30, "1.5MB": 1.5e6, "5%": 50, "0%": 0, "10B": 10} {
		s, err := ParseSpace(text)
		if err != nil || s.Of(1000) != want {
			t.Errorf("%q: %d, %v", text, s.Of(1000), err)
		}
	}
	for _, text := range []string{"5", "-1%", "100%", "GiB", "x%", "-1GiB", "1e30TiB", "NaN%"} {
		if s, err := ParseSpace(text); err == nil {
			t.Errorf("%q is %+v", text, s)
		}
	}
}

// TestChoices reads which tracks are recorded.
func TestChoices(t *testing.T) {
	for text, ok := range map[string]bool{
		"all": true, "video": true, "audio": true, "audio 0": true, "audio 1 My voice": true,
		"": false, "sound": false, "audio x": false, "audio 256": false, "all 1": false, "audio -1": false, "audio 1 \n": true, "audio 1 a\nb": false,
		"audio 1 " + strings.Repeat("x", maxTitle): true, "audio 1 " + strings.Repeat("x", maxTitle+1): false,
	} {
		if _, err := parseChoice(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
