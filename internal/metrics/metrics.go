// Package metrics holds the server's Prometheus metrics (text format 0.0.4 and
// OpenMetrics 1.0) in a registry of its own. What other packages already count a scrape reads from them, through
// Sources. Only rare events are counted here, so that no frame on its way touches a metric.
//
// Labels have values from closed sets: protocols, roles, reasons, kinds, limits, worker
// numbers. There is no series per session or address (a session's id is the exemplar of some), and there are some per stream only if the configuration
// asks for them, of a bounded number of streams.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/internal/version"
)

// Sources are the functions from which a scrape reads figures of other packages. A nil source has
// no series. Each is called once a scrape, perhaps by several scrapes at once. Those that yield
// must not yield the same labels twice, and totals must never fall.
type Sources struct {
	// Streams returns the number of streams.
	Streams func() int
	// Sessions yields the number of open sessions of a protocol in a role.
	Sessions func(yield func(protocol, role string, n int))
	// Bytes yields the bytes received from and sent to the peers of a protocol so far.
	Bytes func(yield func(protocol string, received, sent uint64))
	// Frames yields the frames received so far of a kind: video, audio, data.
	Frames func(yield func(kind string, n uint64))
	// Publishers returns what the publishers that are connected do now.
	Publishers func() Publishers
	// Repairs yields the timestamps and tracks repaired so far, by the kind of repair.
	Repairs func(yield func(kind string, n uint64))
	// Skips returns how often players skipped ahead so far.
	Skips func() uint64
	// Workers yields, for each delivery worker from 0, the share of time it spends sending,
	// from 0 to 1, and its rest between two rounds.
	Workers func(yield func(worker int, load float64, interval time.Duration))
	// Intake returns the time between two reads of a publisher; 0 if it is read as it sends.
	Intake func() time.Duration
	// Segments returns the bytes of segments in memory.
	Segments func() int64
	// Pulls yields how many streams that are fetched from elsewhere have each status.
	Pulls func(yield func(status string, n int))
	// PullsOnBackup returns how many of them are fetched from another source than their first one. It is there if Pulls is.
	PullsOnBackup func() int
	// Removed yields how many files of recordings retention has removed so far, by why.
	Removed func(yield func(why string, files uint64))
	// Uploads returns what uploads of recordings do.
	Uploads func() Uploads
	// Recordings returns how many recordings run.
	Recordings func() int
	// Queues yields the number of events that wait for each hook.
	Queues func(yield func(hook string, events int))
	// Faults yields the number of streams that have a fault of a kind now.
	Faults func(yield func(kind string, n int))
	// Pushes yields the number of targets to which streams are sent, by service and state.
	Pushes func(yield func(service, state string, n int))
	// Pushed yields the bytes of media sent to the targets of a service so far.
	Pushed func(yield func(service string, bytes int64))
	// Traces returns how many spans of traces were sent, and how many were lost.
	Traces func() (sent, lost uint64)
	// Counted are the labels of what is counted here; with a series from the start, the first case can be seen by rate().
	Counted Counted
	// PerStream yields what each stream that has a publisher does, if on.
	PerStream func(yield func(Stream)) (on bool)
}

// Publishers is what the publishers that are connected do now.
type Publishers struct {
	Bitrate int64         // bits per second of all of them
	Stalled int           // how many of them send nothing
	Silence time.Duration // the longest time for which one of them has sent nothing
}

// Metrics is the registry with the counters of rare events. Its methods are safe for
// concurrent use.
type Metrics struct {
	registry   *prometheus.Registry
	closed     *prometheus.CounterVec
	rejected   *prometheus.CounterVec
	handshakes *prometheus.CounterVec
	dropped    *prometheus.CounterVec
	limited    *prometheus.CounterVec
	auth       *prometheus.HistogramVec
	hooks      *hooks
	pullFails  *prometheus.CounterVec
	reconnects prometheus.Counter
	pushFailed *prometheus.CounterVec
	records    *records
	reloaded   prometheus.Gauge
	reloadedAt prometheus.Gauge
	firstFrame prometheus.Histogram
	lag        prometheus.Histogram
}

// New returns the metrics of a server, with those of the Go runtime, the process and the build.
func New(s Sources) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		closed:     counter("weir_session_closed_total", "Sessions that ended, by reason.", "protocol", "role", "reason"),
		rejected:   counter("weir_rejected_total", "Peers that were refused what they asked for, by reason.", "reason"),
		handshakes: counter("weir_handshake_failures_total", "Connections that never became a session, by reason.", "protocol", "reason"),
		dropped:    counter("weir_dropped_messages_total", "Messages from peers that were thrown away, by reason.", "protocol", "reason"),
		limited:    counter("weir_limit_reached_total", "Peers that a limit refused or ended, by the key of the limit.", "limit"),
		pullFails:  counter("weir_pull_failures_total", "Tries to fetch a stream from another server that failed or ended, by why.", "reason"),
		pushFailed: counter("weir_push_failures_total", "Sessions with other servers to which streams are sent that failed, by reason.", "service", "reason"),
		auth: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_auth_seconds", Help: "Time that decisions about peers took, by what was decided: allow, or why not.",
			Buckets: []float64{0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}, []string{"result"}),
		reconnects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_publisher_reconnects_total", Help: "Publishers that returned to a stream within its grace, or took it over.",
		}),
		reloaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_config_reload_success", Help: "Whether the newest change of the configuration is in force: 1, or 0 if it was refused.",
		}),
		reloadedAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_config_reload_time_seconds", Help: "When the configuration in force was read, in seconds since 1970.",
		}),
		firstFrame: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_first_frame_seconds", Help: "Time from a player's request to its first frame.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_player_lag_seconds", Help: "How far players are behind, each counted every 5 seconds.",
			Buckets: []float64{0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16},
		}),
	}
	m.begin(s.Counted)
	m.hooks = newHooks(m.registry)
	m.records = newRecords(m.registry)
	m.registry.MustRegister(newArchive(&s))
	m.Reloaded(true)
	v := version.Get()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "weir_build_info", Help: "What the program was built from; always 1.",
		ConstLabels: prometheus.Labels{"version": v.Version, "commit": v.Commit, "go_version": v.Go},
	})
	build.Set(1)
	if s.Pulls != nil {
		m.registry.MustRegister(newPulls(s.Pulls, s.PullsOnBackup))
	}
	if s.Queues != nil {
		m.registry.MustRegister(newQueue(s.Queues))
	}
	if s.Pushes != nil && s.Pushed != nil {
		m.registry.MustRegister(newPushes(s.Pushes, s.Pushed))
	}
	if s.PerStream != nil {
		m.registry.MustRegister(newPerStream(s.PerStream))
	}
	m.registry.MustRegister(
		m.limited, m.pullFails, m.pushFailed, m.auth, m.reconnects, m.reloaded, m.reloadedAt, m.closed, m.rejected, m.handshakes, m.dropped, m.firstFrame, m.lag, build, newReader(s),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector(),
	)
	return m
}

// Counted are labels whose series begin at 0.
type Counted struct {
	Protocols []string // of sessions that publish and play
	Reasons   []string // of ends and refusals
	Limits    []string
}

// begin makes the series that are known.
func (m *Metrics) begin(c Counted) {
	for _, r := range c.Reasons {
		m.rejected.WithLabelValues(word(r))
		for _, p := range c.Protocols {
			for _, role := range []string{"publish", "play"} {
				m.closed.WithLabelValues(word(p), role, word(r))
			}
		}
	}
	for _, l := range c.Limits {
		m.limited.WithLabelValues(word(l))
	}
}

// Handler serves the metrics to at most four scrapes at once; more get 503. A source that yields
// labels twice loses only its own series.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError})
}

// SessionClosed counts the end of a session.
func (m *Metrics) SessionClosed(protocol, role, reason string) {
	m.closed.WithLabelValues(word(protocol), word(role), word(reason)).Inc()
}

// Rejected counts a peer that may not do what it asked for.
func (m *Metrics) Rejected(reason string) { m.rejected.WithLabelValues(word(reason)).Inc() }

// Limited counts a peer that a limit refused or ended. limit is its key in the configuration without the section,
// such as "connections" or "max_players".
func (m *Metrics) Limited(limit string) { m.limited.WithLabelValues(word(limit)).Inc() }

// Reloaded says whether a change of the configuration was put into force, or refused.
func (m *Metrics) Reloaded(ok bool) {
	if !ok {
		m.reloaded.Set(0)
		return
	}
	m.reloaded.Set(1)
	m.reloadedAt.SetToCurrentTime()
}

// Reconnected counts a publisher that goes on with a stream that had one.
func (m *Metrics) Reconnected() { m.reconnects.Inc() }

// Allowed is the result of a decision that lets a peer in.
const Allowed = "allow"

// Decided counts a decision about the peer of a session, which took d: Allowed, or the reason why not. The session's id
// may be empty.
func (m *Metrics) Decided(result, session string, d time.Duration) {
	observe(m.auth.WithLabelValues(word(result)), d, session)
}

// observe counts a time, with the id of a session as an example of those that took about as long. Exemplars are no
// series: each bucket has one, the newest.
func observe(o prometheus.Observer, d time.Duration, session string) {
	if e, ok := o.(prometheus.ExemplarObserver); ok && session != "" && word(session) == session {
		e.ObserveWithExemplar(d.Seconds(), prometheus.Labels{"session": session})
		return
	}
	o.Observe(d.Seconds())
}

// HandshakeFailed counts a connection that never became a session.
func (m *Metrics) HandshakeFailed(protocol, reason string) {
	m.handshakes.WithLabelValues(word(protocol), word(reason)).Inc()
}

// Dropped counts a message that was thrown away.
func (m *Metrics) Dropped(protocol, reason string) {
	m.dropped.WithLabelValues(word(protocol), word(reason)).Inc()
}

// FirstFrame counts how long the player of a session, whose id may be empty, waited for its first frame.
func (m *Metrics) FirstFrame(session string, d time.Duration) { observe(m.firstFrame, d, session) }

// LagEvery is how often Lag is to be called for each player.
const LagEvery = 5 * time.Second

// Lag counts how far a player is behind.
func (m *Metrics) Lag(d time.Duration) { m.lag.Observe(d.Seconds()) }

// word limits labels to our own words: anything else, such as text from a peer, becomes "other".
func word(s string) string {
	if s == "" || len(s) > 40 {
		return "other"
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return "other"
		}
	}
	return s
}

// reader collects from Sources.
type reader struct {
	Sources
	streams, bitrate, stalled, silence, sessions, received, sent, frames, repairs, skips, load, interval, intake, segments, recordings *prometheus.Desc
	faults, files, traces                                                                                                              *prometheus.Desc
}

func newReader(s Sources) *reader {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &reader{
		Sources:    s,
		streams:    desc("weir_streams", "Streams, those that players wait for included."),
		bitrate:    desc("weir_ingest_bits_per_second", "What publishers sent over the last two seconds."),
		stalled:    desc("weir_streams_stalled", "Streams whose publisher is connected and sends nothing."),
		silence:    desc("weir_publisher_silence_seconds", "The longest time for which a connected publisher has sent nothing."),
		sessions:   desc("weir_sessions", "Open sessions.", "protocol", "role"),
		received:   desc("weir_received_bytes_total", "Bytes received from peers.", "protocol"),
		sent:       desc("weir_sent_bytes_total", "Bytes sent to peers.", "protocol"),
		frames:     desc("weir_frames_received_total", "Frames received from publishers.", "kind"),
		repairs:    desc("weir_stream_repairs_total", "Faults of publishers that were repaired.", "kind"),
		skips:      desc("weir_player_skips_total", "Times a player that was too slow skipped ahead."),
		load:       desc("weir_delivery_worker_load", "Share of time a delivery worker spends sending, from 0 to 1.", "worker"),
		interval:   desc("weir_delivery_round_interval_seconds", "Rest of a delivery worker between two rounds.", "worker"),
		intake:     desc("weir_intake_interval_seconds", "Time between two reads of a publisher; 0 while each is read as it sends."),
		recordings: desc("weir_recordings", "Recordings that run."),
		segments:   desc("weir_segment_memory_bytes", "Memory that HLS segments take; on Linux it is not in the process's resident memory, but in that of its container."),
		faults:     desc("weir_faulty_streams", "Streams whose publisher has a fault, by kind.", "kind"),
		traces:     desc("weir_trace_spans_total", "Spans of traces, by what became of them: sent or lost.", "result"),
		files:      desc("weir_fd_limit", "File descriptors that the process may have; process_open_fds is how many it has."),
	}
}

// Describe implements prometheus.Collector.
func (r *reader) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{r.streams, r.bitrate, r.stalled, r.silence, r.sessions, r.received, r.sent, r.frames, r.repairs, r.skips, r.load, r.interval, r.intake, r.segments, r.recordings, r.faults, r.files, r.traces} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *reader) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	total := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	if r.Streams != nil {
		gauge(r.streams, float64(r.Streams()))
	}
	if r.Sessions != nil {
		r.Sessions(func(protocol, role string, n int) { gauge(r.sessions, float64(n), word(protocol), word(role)) })
	}
	if r.Bytes != nil {
		r.Bytes(func(protocol string, received, sent uint64) {
			total(r.received, received, word(protocol))
			total(r.sent, sent, word(protocol))
		})
	}
	if r.Frames != nil {
		r.Frames(func(kind string, n uint64) { total(r.frames, n, word(kind)) })
	}
	if r.Publishers != nil {
		p := r.Publishers()
		gauge(r.bitrate, float64(p.Bitrate))
		gauge(r.stalled, float64(p.Stalled))
		gauge(r.silence, p.Silence.Seconds())
	}
	if r.Repairs != nil {
		r.Repairs(func(kind string, n uint64) { total(r.repairs, n, word(kind)) })
	}
	if r.Skips != nil {
		total(r.skips, r.Skips())
	}
	if r.Workers != nil {
		r.Workers(func(worker int, load float64, interval time.Duration) {
			gauge(r.load, load, strconv.Itoa(worker))
			gauge(r.interval, interval.Seconds(), strconv.Itoa(worker))
		})
	}
	if r.Intake != nil {
		gauge(r.intake, r.Intake().Seconds())
	}
	if r.Recordings != nil {
		gauge(r.recordings, float64(r.Recordings()))
	}
	if r.Segments != nil {
		gauge(r.segments, float64(r.Segments()))
	}
	if r.Faults != nil {
		r.Faults(func(kind string, n int) { gauge(r.faults, float64(n), word(kind)) })
	}
	if r.Traces != nil {
		sent, lost := r.Traces()
		total(r.traces, sent, "sent")
		total(r.traces, lost, "lost")
	}
	if n := fileLimit(); n > 0 {
		gauge(r.files, float64(n))
	}
}
