package admin

import (
	"net/http"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"weir/internal/session"
	"weir/internal/stream"
	"weir/internal/version"
)

// The names and units are those of SRS's HTTP API: kbps are kilobits per second.

// srsHead begins every answer.
type srsHead struct {
	Code    int    `json:"code"`
	Server  string `json:"server"`
	Service string `json:"service"`
	PID     string `json:"pid"`
}

type srsRates struct {
	Received int64 `json:"recv_30s"` // over two seconds, in fact
	Sent     int64 `json:"send_30s"`
}

type srsStreamInfo struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Vhost     string        `json:"vhost"`
	App       string        `json:"app"`
	TCURL     string        `json:"tcUrl"`
	URL       string        `json:"url"`
	LiveMS    int64         `json:"live_ms"`
	Clients   int           `json:"clients"`
	Frames    int64         `json:"frames"`
	SentBytes uint64        `json:"send_bytes"`
	RecvBytes int64         `json:"recv_bytes"`
	KBPS      srsRates      `json:"kbps"`
	Publish   srsPublishing `json:"publish"`
	Video     *srsVideo     `json:"video"`
	Audio     *srsAudio     `json:"audio"`
}

type srsPublishing struct {
	Active bool   `json:"active"`
	CID    string `json:"cid,omitempty"`
}

type srsVideo struct {
	Codec   string `json:"codec"`
	Profile string `json:"profile"`
	Level   string `json:"level"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
}

type srsAudio struct {
	Codec      string `json:"codec"`
	SampleRate int    `json:"sample_rate"`
	Channel    int    `json:"channel"`
	Profile    string `json:"profile"`
}

type srsClientInfo struct {
	ID        string   `json:"id"`
	Vhost     string   `json:"vhost"`
	Stream    string   `json:"stream"`
	IP        string   `json:"ip"`
	PageURL   string   `json:"pageUrl"`
	SWFURL    string   `json:"swfUrl"`
	TCURL     string   `json:"tcUrl"`
	URL       string   `json:"url"`
	Name      string   `json:"name"`
	Type      string   `json:"type"`
	Publish   bool     `json:"publish"`
	Alive     float64  `json:"alive"`
	SentBytes uint64   `json:"send_bytes"`
	RecvBytes uint64   `json:"recv_bytes"`
	KBPS      srsRates `json:"kbps"`
}

const (
	srsVhost = "__defaultVhost__"
	// srsNotFound is SRS's code for what is not there, ERROR_RTMP_STREAM_NOT_FOUND.
	srsNotFound = 2048
	// srsCount is how many entries a list has unless count says so. SRS takes 10, which users
	// notice once they have eleven.
	srsCount = 1000
)

// srsCodecs are the names that SRS has for codecs that are called otherwise here.
var srsCodecs = map[string]string{"H.264": "H264", "H.265": "HEVC"}

func srsCodec(name string) string {
	if n, ok := srsCodecs[name]; ok {
		return n
	}
	return name
}

// srsHead has the identifiers that hooks in SRS's format are told, too.
func (s *Server) srsHead() srsHead {
	return srsHead{Server: session.VID(s.conf.Instance), Service: session.Service(s.conf.Instance), PID: strconv.Itoa(os.Getpid())}
}

// srsPart returns the part of a list that start and count ask for.
func srsPart[T any](r *http.Request, all []T) []T {
	start, count := 0, srsCount
	if n, err := strconv.Atoi(r.URL.Query().Get("start")); err == nil && n > 0 {
		start = n
	}
	if n, err := strconv.Atoi(r.URL.Query().Get("count")); err == nil && n > 0 {
		count = n
	}
	start = min(start, len(all))
	return all[start : start+min(count, len(all)-start)]
}

func (s *Server) srsDescribe(v *seen) srsStreamInfo {
	info := srsStreamInfo{
		ID: session.VID(v.Path()), Name: v.Name, Vhost: srsVhost, App: v.App, TCURL: "rtmp://" + srsVhost + "/" + v.App, URL: "/" + v.Path(),
		Clients: len(v.Sessions), Frames: v.Stats.Frames[0] + v.Stats.Frames[1], SentBytes: v.Sent, RecvBytes: v.Stats.Bytes,
		KBPS: srsRates{v.Stats.Bitrate / 1000, v.Rate / 1000},
	}
	if !v.Stats.Started.IsZero() {
		info.LiveMS = time.Now().UnixMilli() // the clock, as in SRS
	}
	if p, live := v.Publisher(); live {
		info.Publish = srsPublishing{true, p.Session}
	}
	if t := v.Video; t != nil {
		info.Video = &srsVideo{srsCodec(t.Codec.String()), t.Profile, t.Level, t.Size.Width, t.Size.Height}
	}
	if t := v.Audio; t != nil {
		info.Audio = &srsAudio{srsCodec(t.Codec.String()), t.SampleRate, t.Channels, t.Profile}
	}
	return info
}

func (s *Server) srsStreams(w http.ResponseWriter, r *http.Request) {
	list := []srsStreamInfo{}
	for _, v := range srsPart(r, s.look()) {
		list = append(list, s.srsDescribe(v))
	}
	writeJSON(w, struct {
		srsHead
		Streams []srsStreamInfo `json:"streams"`
	}{s.srsHead(), list})
}

func (s *Server) srsStream(w http.ResponseWriter, r *http.Request) {
	for _, v := range s.look() {
		if session.VID(v.Path()) == r.PathValue("id") {
			writeJSON(w, struct {
				srsHead
				Stream srsStreamInfo `json:"stream"`
			}{s.srsHead(), s.srsDescribe(v)})
			return
		}
	}
	s.srsMissing(w)
}

// srsMissing says that there is no such thing, with a status as SRS does since its version 5.
func (s *Server) srsMissing(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	head := s.srsHead()
	head.Code = srsNotFound
	writeJSON(w, head)
}

func (s *Server) srsClientOf(x *session.Session) srsClientInfo {
	app, name, _ := strings.Cut(x.Stream(), "/")
	info := srsClientInfo{
		ID: x.ID, Vhost: srsVhost, Stream: session.VID(x.Stream()), IP: x.From(), TCURL: "rtmp://" + srsVhost + "/" + app, URL: "/" + x.Stream(), Name: name,
		Type: x.Protocol + "-play", Publish: x.Role() == session.Publish, Alive: time.Since(x.Started).Seconds(),
		SentBytes: x.BytesOut.Load(), RecvBytes: x.BytesIn.Load(),
	}
	if x.Remote.IsValid() {
		info.IP = x.Remote.Addr().String()
	}
	if info.Publish {
		info.Type = "fmle-publish" // whatever it speaks: dashboards look for this word
	}
	var st stream.Stats
	if h := s.conf.Hub.Get(x.Stream()); h != nil {
		st = h.Stats()
	}
	if info.Publish {
		info.KBPS.Received = st.Bitrate / 1000
	} else {
		info.KBPS.Sent = st.Bitrate / 1000
	}
	return info
}

// srsSessions are the sessions that SRS would have as clients.
func (s *Server) srsSessions() []*session.Session {
	var list []*session.Session
	for _, x := range s.conf.Sessions.List() {
		if r := x.Role(); r == session.Publish || r == session.Play {
			list = append(list, x)
		}
	}
	return list
}

func (s *Server) srsClients(w http.ResponseWriter, r *http.Request) {
	list := []srsClientInfo{}
	for _, x := range srsPart(r, s.srsSessions()) {
		list = append(list, s.srsClientOf(x))
	}
	writeJSON(w, struct {
		srsHead
		Clients []srsClientInfo `json:"clients"`
	}{s.srsHead(), list})
}

func (s *Server) srsClient(w http.ResponseWriter, r *http.Request) {
	x := s.conf.Sessions.Get(r.PathValue("id"))
	if x == nil {
		s.srsMissing(w)
		return
	}
	writeJSON(w, struct {
		srsHead
		Client srsClientInfo `json:"client"`
	}{s.srsHead(), s.srsClientOf(x)})
}

// srsSummaries tells what is known of what SRS tells of itself and its machine.
func (s *Server) srsSummaries(w http.ResponseWriter, _ *http.Request) {
	received, sent := uint64(0), uint64(0)
	for _, t := range s.conf.Sessions.Totals() {
		received, sent = received+t.BytesIn, sent+t.BytesOut
	}
	now, bitrate, out := time.Now(), int64(0), int64(0)
	for _, v := range s.look() {
		bitrate, out = bitrate+v.Stats.Bitrate, out+v.Rate
	}
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(memory)
	writeJSON(w, struct {
		srsHead
		Data any `json:"data"`
	}{s.srsHead(), map[string]any{
		"ok": true, "now_ms": now.UnixMilli(),
		"self": map[string]any{
			"version": version.Get().Version, "pid": os.Getpid(), "ppid": os.Getppid(),
			"mem_kbyte": memory[0].Value.Uint64() / 1024, "srs_uptime": int64(time.Since(s.started).Seconds()),
		},
		"system": map[string]any{
			"srs_recv_bytes": received, "srs_send_bytes": sent, "conn_srs": s.conf.Sessions.Len(),
			"srs_recv_kbps": bitrate / 1000, "srs_send_kbps": out / 1000,
		},
	}})
}
