package metrics

import "github.com/prometheus/client_golang/prometheus"

// PullFailed counts a try to fetch a stream from another server that failed or ended, by why.
func (m *Metrics) PullFailed(reason string) { m.pullFails.WithLabelValues(word(reason)).Inc() }

// pulls collects how many streams are fetched.
type pulls struct {
	source        func(yield func(status string, n int))
	onBackup      func() int
	count, backup *prometheus.Desc
}

func newPulls(source func(yield func(status string, n int)), onBackup func() int) *pulls {
	return &pulls{
		source, onBackup, prometheus.NewDesc("weir_pulls", "Streams that are fetched from other servers, by what they do.", []string{"status"}, nil),
		prometheus.NewDesc("weir_pulls_on_backup", "Streams that are fetched from another source than their first one.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (p *pulls) Describe(ch chan<- *prometheus.Desc) {
	ch <- p.count
	ch <- p.backup
}

// Collect implements prometheus.Collector.
func (p *pulls) Collect(ch chan<- prometheus.Metric) {
	p.source(func(status string, n int) {
		ch <- prometheus.MustNewConstMetric(p.count, prometheus.GaugeValue, float64(n), status)
	})
	ch <- prometheus.MustNewConstMetric(p.backup, prometheus.GaugeValue, float64(p.onBackup()))
}
