package metrics

import "github.com/prometheus/client_golang/prometheus"

// PushFailed counts the failure of a target to which a stream is sent.
func (m *Metrics) PushFailed(service, reason string) {
	m.pushFailed.WithLabelValues(word(service), word(reason)).Inc()
}

// pushes collects what is sent to other servers.
type pushes struct {
	targets func(yield func(service, state string, n int))
	sent    func(yield func(service string, bytes int64))

	targetsDesc, sentDesc *prometheus.Desc
}

func newPushes(targets func(yield func(service, state string, n int)), sent func(yield func(service string, bytes int64))) *pushes {
	return &pushes{
		targets, sent,
		prometheus.NewDesc("weir_push_targets", "Targets of live streams to which they are sent, by what they do.", []string{"service", "state"}, nil),
		prometheus.NewDesc("weir_push_sent_bytes_total", "Bytes of media sent to other servers.", []string{"service"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (p *pushes) Describe(ch chan<- *prometheus.Desc) {
	ch <- p.targetsDesc
	ch <- p.sentDesc
}

// Collect implements prometheus.Collector.
func (p *pushes) Collect(ch chan<- prometheus.Metric) {
	p.targets(func(service, state string, n int) {
		ch <- prometheus.MustNewConstMetric(p.targetsDesc, prometheus.GaugeValue, float64(n), word(service), word(state))
	})
	p.sent(func(service string, bytes int64) {
		ch <- prometheus.MustNewConstMetric(p.sentDesc, prometheus.CounterValue, float64(bytes), word(service))
	})
}
