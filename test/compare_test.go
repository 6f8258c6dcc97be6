package test

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/av"
)

// TestCompare holds the judge to a few cases of known verdict.
func TestCompare(t *testing.T) {
	video, audio := trackKey{av.Video, 0}, trackKey{av.Audio, 0}
	make1 := func(k trackKey, n int) []unit {
		u := make([]unit, n)
		for i := range u {
			u[i] = unit{
				sum: sha256.Sum256([]byte{byte(k.kind), byte(i)}), dts: time.Duration(i) * 40 * time.Millisecond,
				key: k.kind == av.Video && i%10 == 0,
			}
		}
		return u
	}
	whole := func() tracks { return tracks{video: make1(video, 40), audio: make1(audio, 40)} }
	for _, c := range []struct {
		name   string
		change func(got tracks)
		want   demand
		err    string // part of the complaint; "" is none
	}{
		{"the same", func(tracks) {}, demand{fromStart: true, toEnd: true, atLeast: time.Second}, ""},
		{"a run", func(g tracks) { g[video] = g[video][10:30]; g[audio] = g[audio][9:29] }, demand{}, ""},
		{"shifted", func(g tracks) {
			for _, u := range g {
				for i := range u {
					u[i].dts += time.Hour
				}
			}
		}, demand{fromStart: true}, ""},
		{"one lost", func(g tracks) { g[video] = slices.Delete(g[video], 15, 16) }, demand{}, "number 16 of those sent"},
		{"one twice", func(g tracks) { g[video] = slices.Insert(g[video], 15, g[video][15]) }, demand{}, "number 15 of those sent"},
		{"altered", func(g tracks) { g[audio][7].sum[0]++ }, demand{}, "altered"},
		{"another configuration", func(g tracks) { g[video][5].config[0]++ }, demand{}, "codec configuration"},
		{"any configuration", func(g tracks) { g[video][5].config[0]++ }, demand{anyConfig: true}, ""},
		{"late", func(g tracks) { g[video] = g[video][10:] }, demand{fromStart: true}, "lacks the first 10"},
		{"cut", func(g tracks) { g[audio] = g[audio][:30] }, demand{toEnd: true}, "lacks the last 10"},
		{"short", func(tracks) {}, demand{atLeast: time.Minute}, "lasts only"},
		{"no key frame", func(g tracks) { g[video] = g[video][3:] }, demand{}, "no key frame"},
		{"skewed", func(g tracks) {
			for i := range g[audio] {
				g[audio][i].dts += 31 * time.Millisecond
			}
		}, demand{}, "against each other"},
		{"falling", func(g tracks) { g[video][5].dts = g[video][4].dts - 1 }, demand{}, "DTS falls"},
		{"another PTS", func(g tracks) { g[video][5].cts = time.Millisecond }, demand{}, "PTS-DTS"},
		{"nothing", func(g tracks) { delete(g, audio) }, demand{}, "nothing was received"},
		{"more", func(g tracks) { g[trackKey{av.Audio, 1}] = g[audio] }, demand{}, "never sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := whole()
			c.change(got)
			err := compare(whole(), got, c.want)
			switch {
			case err == nil && c.err != "":
				t.Errorf("no complaint, want %q", c.err)
			case err != nil && (c.err == "" || !strings.Contains(err.Error(), c.err)):
				t.Errorf("got %v, want %q", err, c.err)
			}
		})
	}
}
