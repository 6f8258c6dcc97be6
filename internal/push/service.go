package push

import (
	"slices"
	"strings"
	"time"

	"weir/av"
)

// Custom is the service of targets that are no known service.
const Custom = "custom"

// service is what is known of a service: where it is, and what it takes.
type service struct {
	name  string // in the configuration
	title string // for people
	// url is where everybody sends streams to; empty if each user has another.
	url string
	// page says where users find their URL, for services that have none for everybody.
	page string
	// tls says that it takes RTMPS alone.
	tls bool
	// app is the application of URLs that have none.
	app string
	// hosts are the ends of the names of its servers.
	hosts []string
	// video and audio are the codecs that it takes; none stand for all.
	video, audio []av.Codec
	// keys is the time between two key frames that it asks for, and most the longest that it takes.
	keys, most time.Duration
	// bitrate is how much it takes in all, in bits per second; 0 if that is not known.
	bitrate int64
}

var (
	onlyH264 = []av.Codec{av.H264}
	onlyAAC  = []av.Codec{av.AAC}
)

// services are the services that have a name. The facts are those of the list that OBS brings, and
// of the services' own pages.
var services = []*service{
	{
		name: "youtube", title: "YouTube", url: "rtmps://a.rtmps.youtube.com:443/live2", hosts: []string{".youtube.com"},
		video: []av.Codec{av.H264, av.H265, av.AV1}, audio: []av.Codec{av.AAC, av.MP3},
		keys: 2 * time.Second, most: 4 * time.Second, bitrate: 51_160_000,
	},
	{
		name: "twitch", title: "Twitch", url: "rtmp://live.twitch.tv/app", hosts: []string{".twitch.tv", "ingest.global-contribute.live-video.net"},
		video: onlyH264, audio: onlyAAC, keys: 2 * time.Second, most: 2 * time.Second, bitrate: 6_320_000,
	},
	{
		name: "facebook", title: "Facebook", url: "rtmps://rtmp-api.facebook.com:443/rtmp", hosts: []string{".facebook.com", ".fbcdn.net"},
		video: onlyH264, audio: onlyAAC, keys: 2 * time.Second, most: 4 * time.Second, bitrate: 9_128_000,
	},
	{
		name: "kick", title: "Kick", page: "Kick shows it in the creator dashboard under Settings, Stream URL & Key", app: "app",
		hosts: []string{".global-contribute.live-video.net"},
		video: onlyH264, audio: onlyAAC, keys: 2 * time.Second, most: 2 * time.Second, bitrate: 8_160_000,
	},
	{
		name: "ivs", title: "Amazon IVS", page: "the console of Amazon IVS shows it as the ingest server of your channel", app: "app",
		hosts: []string{".contribute.live-video.net"},
		video: onlyH264, audio: onlyAAC, keys: 2 * time.Second, most: 5 * time.Second, bitrate: 8_660_000,
	},
	{
		name: "x", title: "X", page: "X shows it in Media Studio, Producer, Sources", hosts: []string{".pscp.tv"},
		video: onlyH264, audio: onlyAAC, keys: 3 * time.Second, most: 3 * time.Second, bitrate: 12_128_000,
	},
	{
		name: "cloudflare", title: "Cloudflare", url: "rtmps://live.cloudflare.com:443/live", tls: true, hosts: []string{".cloudflare.com"},
		video: onlyH264, audio: onlyAAC, keys: 2 * time.Second, most: 8 * time.Second,
	},
	{
		name: "linkedin", title: "LinkedIn", page: "LinkedIn shows it for each event, which is good for one broadcast", hosts: []string{".linkedin.com"},
		video: onlyH264, audio: onlyAAC, keys: 2 * time.Second, most: 2 * time.Second, bitrate: 6_128_000,
	},
	{
		name: "restream", title: "Restream", url: "rtmp://live.restream.io/live", hosts: []string{".restream.io"},
		video: onlyH264, audio: onlyAAC, keys: 2 * time.Second, most: 2 * time.Second,
	},
	{
		name: "trovo", title: "Trovo", url: "rtmp://livepush.trovo.live/live", hosts: []string{".trovo.live"},
		video: onlyH264, audio: onlyAAC, keys: 2 * time.Second, most: 2 * time.Second, bitrate: 9_160_000,
	},
	{
		name: "vimeo", title: "Vimeo", url: "rtmp://rtmp.cloud.vimeo.com/live", hosts: []string{".vimeo.com"},
		video: onlyH264, audio: onlyAAC, keys: 2 * time.Second, most: 4 * time.Second,
	},
	{
		name: "dlive", title: "DLive", url: "rtmp://stream.dlive.tv/live", hosts: []string{".dlive.tv"},
		video: onlyH264, audio: onlyAAC, keys: 2 * time.Second, most: 2 * time.Second, bitrate: 6_160_000,
	},
}

// custom stands for all that is no known service.
var custom = &service{name: Custom, title: "the server"}

// serviceOf returns the service of a name, or else the one whose server a host is; never nil.
func serviceOf(name, host string) *service {
	for _, s := range services {
		if s.name == name {
			return s
		}
	}
	host = strings.ToLower(host)
	for _, s := range services {
		if slices.ContainsFunc(s.hosts, func(end string) bool {
			return strings.HasSuffix("."+host, "."+strings.TrimPrefix(end, "."))
		}) {
			return s
		}
	}
	return custom
}

// takes reports whether the service takes a codec.
func (s *service) takes(k av.Kind, c av.Codec) bool {
	list := s.video
	if k == av.Audio {
		list = s.audio
	}
	return k != av.Video && k != av.Audio || len(list) == 0 || slices.Contains(list, c)
}
