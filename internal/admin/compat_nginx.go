package admin

import (
	"encoding/xml"
	"net/http"
	"os"
	"time"

	"weir/av"
	"weir/internal/session"
	"weir/internal/version"
)

// The names and units are those of nginx-rtmp's rtmp_stat: rates in bits per second, times in
// milliseconds but for uptime, and an empty element for what is true.

type nginxRoot struct {
	XMLName  xml.Name    `xml:"rtmp"`
	Nginx    string      `xml:"nginx_version"`
	Module   string      `xml:"nginx_rtmp_version"`
	PID      int         `xml:"pid"`
	Uptime   int64       `xml:"uptime"`
	BWIn     int64       `xml:"bw_in"`
	BytesIn  uint64      `xml:"bytes_in"`
	BWOut    int64       `xml:"bw_out"`
	BytesOut uint64      `xml:"bytes_out"`
	Server   nginxServer `xml:"server"`
}

type nginxServer struct {
	Applications []nginxApplication `xml:"application"`
}

type nginxApplication struct {
	Name string    `xml:"name"`
	Live nginxLive `xml:"live"`
}

type nginxLive struct {
	Streams  []nginxStream `xml:"stream"`
	NClients int           `xml:"nclients"`
}

type nginxStream struct {
	Name       string        `xml:"name"`
	Time       int64         `xml:"time"`
	BWIn       int64         `xml:"bw_in"`
	BytesIn    int64         `xml:"bytes_in"`
	BWOut      int64         `xml:"bw_out"`
	BytesOut   uint64        `xml:"bytes_out"`
	BWAudio    int64         `xml:"bw_audio"`
	BWVideo    int64         `xml:"bw_video"`
	Clients    []nginxClient `xml:"client"`
	Meta       *nginxMeta    `xml:"meta"`
	NClients   int           `xml:"nclients"`
	Publishing *struct{}     `xml:"publishing"`
	Active     *struct{}     `xml:"active"`
}

type nginxClient struct {
	ID         string    `xml:"id"`
	Address    string    `xml:"address"`
	Time       int64     `xml:"time"`
	FlashVer   string    `xml:"flashver,omitempty"`
	Dropped    uint64    `xml:"dropped"`
	AVSync     int64     `xml:"avsync"`    // by how much sound is ahead of the picture, in milliseconds
	Timestamp  int64     `xml:"timestamp"` // of the newest frame, in milliseconds
	Publishing *struct{} `xml:"publishing"`
	Active     *struct{} `xml:"active"`
}

type nginxMeta struct {
	Video *nginxVideo `xml:"video"`
	Audio *nginxAudio `xml:"audio"`
}

type nginxVideo struct {
	Width     int     `xml:"width"`
	Height    int     `xml:"height"`
	FrameRate float64 `xml:"frame_rate"`
	Codec     string  `xml:"codec"`
	Profile   string  `xml:"profile,omitempty"`
	Level     string  `xml:"level,omitempty"`
}

type nginxAudio struct {
	Codec      string `xml:"codec"`
	Profile    string `xml:"profile,omitempty"`
	Channels   int    `xml:"channels"`
	SampleRate int    `xml:"sample_rate"`
}

// nginxCodecs are the names that nginx-rtmp has for codecs that are called otherwise here.
var nginxCodecs = map[string]string{"H.264": "H264", "H.265": "H265"}

func nginxCodec(name string) string {
	if n, ok := nginxCodecs[name]; ok {
		return n
	}
	return name
}

func (s *Server) nginxStat(w http.ResponseWriter, _ *http.Request) {
	root := nginxRoot{Nginx: "weir", Module: version.Get().Version, PID: os.Getpid(), Uptime: int64(time.Since(s.started).Seconds())}
	for _, t := range s.conf.Sessions.Totals() {
		root.BytesIn, root.BytesOut = root.BytesIn+t.BytesIn, root.BytesOut+t.BytesOut
	}
	apps := map[string]int{}
	for _, v := range s.look() {
		i, ok := apps[v.App]
		if !ok {
			i = len(root.Server.Applications)
			apps[v.App] = i
			root.Server.Applications = append(root.Server.Applications, nginxApplication{Name: v.App})
		}
		live := &root.Server.Applications[i].Live
		live.Streams = append(live.Streams, nginxDescribe(v))
		live.NClients += len(v.Sessions)
		root.BWIn, root.BWOut = root.BWIn+v.Stats.Bitrate, root.BWOut+v.Rate
	}
	b, err := xml.MarshalIndent(&root, "", "  ")
	if err != nil {
		panic(err) // it is made of this file's types alone
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(xml.Header))
	_, _ = w.Write(append(b, '\n'))
}

func nginxDescribe(v *seen) nginxStream {
	d := nginxStream{
		Name: v.Name, BWIn: v.Stats.Bitrate, BytesIn: v.Stats.Bytes, BWOut: v.Rate, BytesOut: v.Sent, NClients: len(v.Sessions),
	}
	if !v.Stats.Started.IsZero() {
		d.Time = time.Since(v.Stats.Started).Milliseconds()
	}
	if v.Stats.Live {
		d.Publishing, d.Active = &struct{}{}, &struct{}{}
	}
	var ahead int64
	d.BWAudio, d.BWVideo, ahead = nginxTracks(v)
	for _, x := range v.Sessions {
		c := nginxClient{ID: session.Number(x.ID), AVSync: ahead, Timestamp: v.Stats.Duration.Milliseconds(), Address: x.From(), Time: time.Since(x.Started).Milliseconds(), FlashVer: x.UserAgent(), Dropped: x.Skips.Load(), Active: &struct{}{}}
		if x.Remote.IsValid() {
			c.Address = x.Remote.Addr().String()
		}
		if x.Role() == session.Publish {
			c.Publishing = &struct{}{}
		}
		d.Clients = append(d.Clients, c)
	}
	if v.Video != nil || v.Audio != nil {
		d.Meta = &nginxMeta{}
	}
	if t := v.Video; t != nil {
		d.Meta.Video = &nginxVideo{t.Size.Width, t.Size.Height, t.FrameRate, nginxCodec(t.Codec.String()), t.Profile, t.Level}
	}
	if t := v.Audio; t != nil {
		d.Meta.Audio = &nginxAudio{nginxCodec(t.Codec.String()), t.Profile, t.Channels, t.SampleRate}
	}
	return d
}

// nginxTracks returns the bit rates of a stream's sound and pictures, and by how many milliseconds the sound is ahead. The
// rates are shares of the stream's, by what the tracks have carried so far.
func nginxTracks(v *seen) (audio, video, ahead int64) {
	stats, _, tracks := v.Figures(nil)
	var bytes [3]int64
	var last [3]time.Duration
	for i := range tracks {
		t := &tracks[i]
		bytes[t.Kind] += t.Bytes
		last[t.Kind] = max(last[t.Kind], t.Last)
	}
	if bytes[av.Audio] > 0 && bytes[av.Video] > 0 {
		ahead = (last[av.Audio] - last[av.Video]).Milliseconds()
	}
	if sum := bytes[av.Audio] + bytes[av.Video]; sum > 0 {
		audio = int64(float64(stats.Bitrate) * float64(bytes[av.Audio]) / float64(sum))
		video = stats.Bitrate - audio
	}
	return audio, video, ahead
}
