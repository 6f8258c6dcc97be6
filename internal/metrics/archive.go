package metrics

import "github.com/prometheus/client_golang/prometheus"

// Uploads is what uploads of recordings have done so far.
type Uploads struct {
	Waiting               int // files that are to be sent
	Done, Failures, Bytes uint64
}

// archive collects what becomes of recordings.
type archive struct {
	removed func(yield func(why string, files uint64))
	uploads func() Uploads

	removedTotal, waiting, done, failures, bytes *prometheus.Desc
}

func newArchive(s *Sources) *archive {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &archive{
		removed: s.Removed, uploads: s.Uploads,
		removedTotal: desc("weir_recordings_removed_total", "Files of recordings that were removed because they are kept no longer, by why: age, total, stream, free, uploaded.", "reason"),
		waiting:      desc("weir_uploads_waiting", "Files of recordings that are to be uploaded, of which 256 at most are looked at."),
		done:         desc("weir_uploads_total", "Files of recordings that were uploaded."),
		failures:     desc("weir_upload_failures_total", "Uploads that failed, those that were tried again included."),
		bytes:        desc("weir_uploaded_bytes_total", "Size of the files of recordings that were uploaded."),
	}
}

// Describe implements prometheus.Collector.
func (a *archive) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{a.removedTotal, a.waiting, a.done, a.failures, a.bytes} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (a *archive) Collect(ch chan<- prometheus.Metric) {
	if a.removed != nil {
		a.removed(func(why string, n uint64) {
			ch <- prometheus.MustNewConstMetric(a.removedTotal, prometheus.CounterValue, float64(n), why)
		})
	}
	if a.uploads != nil {
		u := a.uploads()
		ch <- prometheus.MustNewConstMetric(a.waiting, prometheus.GaugeValue, float64(u.Waiting))
		ch <- prometheus.MustNewConstMetric(a.done, prometheus.CounterValue, float64(u.Done))
		ch <- prometheus.MustNewConstMetric(a.failures, prometheus.CounterValue, float64(u.Failures))
		ch <- prometheus.MustNewConstMetric(a.bytes, prometheus.CounterValue, float64(u.Bytes))
	}
}
