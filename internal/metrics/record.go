package metrics

import "github.com/prometheus/client_golang/prometheus"

// records counts what recordings do.
type records struct {
	bytes, dropped prometheus.Counter
	failures       *prometheus.CounterVec
}

func newRecords(registry *prometheus.Registry) *records {
	r := &records{
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_record_bytes_total", Help: "Bytes of streams that were written to files.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_record_dropped_frames_total", Help: "Frames that are in no file of a recording, because the disk was too slow or failed.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_record_failures_total", Help: "Files of recordings that failed, by why: full, denied, gone, files, io; and slow, for disks that did not keep up.",
		}, []string{"reason"}),
	}
	registry.MustRegister(r.bytes, r.dropped, r.failures)
	return r
}

// RecordBytes counts what was written to the file of a recording.
func (m *Metrics) RecordBytes(n int) { m.records.bytes.Add(float64(n)) }

// RecordDropped counts frames that are in no file.
func (m *Metrics) RecordDropped(frames int) { m.records.dropped.Add(float64(frames)) }

// RecordFailed counts a file that failed.
func (m *Metrics) RecordFailed(reason string) { m.records.failures.WithLabelValues(word(reason)).Inc() }
