package test

import "strings"

// A publisher is a client that sends a file in real time, without encoding it anew.
type publisher struct {
	name string
	sys  system
	args func(file, url, tap string) []string
	// taps says that it also keeps what it sends, in the file tap, because that is not quite
	// what is in file: GStreamer's muxer moves the first time stamps of a video with
	// B-frames, ffmpeg 7 writes the configurations of H.265 and VP9 in its own words.
	taps bool
}

// publishers are all of them; weir is the program under test, which is one too.
func publishers(weir string) map[string]publisher {
	table := map[string]publisher{}
	for _, p := range []publisher{
		{name: "ffmpeg", sys: debian12(), args: ffmpegSends},
		{name: "ffmpeg7", sys: debian13(), args: ffmpeg7Sends, taps: true},
		{name: "gstreamer", sys: debian12(), args: gstreamerSends, taps: true},
		{name: "gstreamer1.26", sys: debian13(), args: gstreamerSends, taps: true},
		{name: "weir", sys: debian12(), args: func(file, url, _ string) []string { return []string{weir, "push", file, url} }},
	} {
		table[p.name] = p
	}
	return table
}

func ffmpegSends(file, url, _ string) []string {
	return []string{"ffmpeg", "-nostdin", "-v", "error", "-re", "-i", file, "-map", "0:v?", "-map", "0:a?", "-c", "copy", "-f", "flv", url}
}

func ffmpeg7Sends(file, url, tap string) []string {
	return append(ffmpegSends(file, url, tap), "-map", "0:v?", "-map", "0:a?", "-c", "copy", "-f", "flv", tap)
}

// gstreamerSends leaves out the branch of a track that the file has not: a muxer waits for
// all its inputs.
func gstreamerSends(file, url, tap string) []string {
	a := []string{
		"gst-launch-1.0", "-q", "filesrc", "location=" + file, "!", "flvdemux", "name=d",
		"flvmux", "name=m", "streamable=true", "!", "tee", "name=t",
		"t.", "!", "queue", "!", "rtmp2sink", "sync=true", "location=" + url,
		"t.", "!", "queue", "!", "filesink", "location=" + tap,
	}
	if !strings.Contains(file, "audio-only") {
		a = append(a, "d.video", "!", "queue", "!", "m.video")
	}
	if !strings.Contains(file, "video-only") {
		a = append(a, "d.audio", "!", "queue", "!", "m.audio")
	}
	return a
}

// A player is a client that keeps what it receives as FLV.
type player struct {
	name string
	sys  system
	over string                          // how it plays: "" is RTMP, else a key of suffixes
	args func(url, file string) []string // for keeping the stream in file
	// nobody says that it must not run as root.
	nobody bool
	// repacks says that what it receives comes in another container than FLV: what that adds
	// to the video's payload (delimiters, parameter sets) is not compared.
	repacks bool
	// rewrites says that it writes the configurations of Enhanced RTMP's codecs in its own
	// words (H.265 without the bits that say that an array is complete).
	rewrites bool
}

// players are all of them.
func players(weir string) map[string]player {
	table := map[string]player{}
	for _, p := range []player{
		{name: "ffmpeg-rtmp", sys: debian12(), args: ffmpegKeeps},
		{name: "ffmpeg-http", sys: debian12(), over: "flv", args: ffmpegKeeps},
		{name: "ffmpeg7-rtmp", sys: debian13(), args: ffmpegKeeps, rewrites: true},
		{name: "ffmpeg7-http", sys: debian13(), over: "flv", args: ffmpegKeeps, rewrites: true},
		{name: "ffmpeg-ts", sys: debian12(), over: "ts", repacks: true, rewrites: true, args: ffmpegKeeps},
		{name: "ffmpeg-hls", sys: debian12(), over: "hls", args: ffmpegKeeps},
		{name: "ffmpeg7-ts", sys: debian13(), over: "ts", repacks: true, rewrites: true, args: ffmpegKeeps},
		{name: "ffmpeg7-hls", sys: debian13(), over: "hls", rewrites: true, args: ffmpegKeeps},
		{name: "gstreamer", sys: debian12(), args: gstreamerKeeps},
		{name: "gstreamer1.26", sys: debian13(), args: gstreamerKeeps},
		{name: "rtmpdump", sys: debian12(), args: func(url, file string) []string {
			return []string{"rtmpdump", "--quiet", "--live", "-r", url, "-o", file}
		}},
		{name: "curl", sys: debian12(), over: "flv", args: func(url, file string) []string {
			return []string{"curl", "--silent", "--show-error", "--fail", "--no-buffer", "-o", file, url}
		}},
		{name: "mpv-rtmp", sys: debian12(), args: mpvKeeps},
		{name: "mpv-http", sys: debian12(), over: "flv", args: mpvKeeps},
		{name: "vlc-rtmp", sys: debian12(), args: vlcKeeps, nobody: true},
		{name: "vlc-http", sys: debian12(), over: "flv", args: vlcKeeps, nobody: true},
		{name: "weir-rtmp", sys: debian12(), args: func(url, file string) []string { return weirKeeps(weir, url, file) }},
		{name: "weir-http", sys: debian12(), over: "flv", args: func(url, file string) []string { return weirKeeps(weir, url, file) }},
	} {
		table[p.name] = p
	}
	return table
}

func weirKeeps(weir, url, file string) []string { return []string{weir, "pull", url, "-o", file} }

func ffmpegKeeps(url, file string) []string {
	return []string{"ffmpeg", "-nostdin", "-v", "error", "-y", "-i", url, "-map", "0:v?", "-map", "0:a?", "-c", "copy", "-f", "flv", file}
}

func gstreamerKeeps(url, file string) []string {
	return []string{"gst-launch-1.0", "-q", "rtmp2src", "location=" + url, "!", "filesink", "location=" + file}
}

// mpvKeeps plays to nowhere at the stream's own pace, and records beside it.
func mpvKeeps(url, file string) []string {
	return []string{"mpv", "--no-config", "--no-terminal", "--ao=null", "--vo=null", "--stream-record=" + file, url}
}

// vlcKeeps has VLC write down what its access layer receives. Its own muxer would not do:
// VLC takes H.264 apart into NAL units and puts others around them.
func vlcKeeps(url, file string) []string {
	return []string{"cvlc", "--quiet", "--demux=dump", "--demuxdump-access=file", "--demuxdump-file=" + file, url, "vlc://quit"}
}
