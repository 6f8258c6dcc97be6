package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// hooks counts calls of hooks. Their label is the hook's name in the configuration.
type hooks struct {
	seconds  *prometheus.HistogramVec
	failures *prometheus.CounterVec
	dropped  *prometheus.CounterVec
}

func newHooks(registry *prometheus.Registry) *hooks {
	h := &hooks{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_hook_seconds", Help: "Time that calls of hooks took, by how they went.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		}, []string{"hook", "result"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_hook_failures_total", Help: "Calls of hooks that failed, those that were tried again included.",
		}, []string{"hook"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_hook_dropped_total", Help: "Events that a hook was never told, because its queue was full or its time was over.",
		}, []string{"hook"}),
	}
	registry.MustRegister(h.seconds, h.failures, h.dropped)
	return h
}

// HookCalled counts a call of a hook, how it went ("ok", "timeout", …) and how long it took.
func (m *Metrics) HookCalled(hook, result string, d time.Duration) {
	m.hooks.seconds.WithLabelValues(word(hook), word(result)).Observe(d.Seconds())
}

// HookBegins begins the counters of a hook at 0.
func (m *Metrics) HookBegins(hook string) {
	m.hooks.failures.WithLabelValues(word(hook))
	m.hooks.dropped.WithLabelValues(word(hook))
}

// HookFailed counts a call of a hook that failed.
func (m *Metrics) HookFailed(hook string) { m.hooks.failures.WithLabelValues(word(hook)).Inc() }

// HookDropped counts n events that a hook was never told.
func (m *Metrics) HookDropped(hook string, n int) {
	m.hooks.dropped.WithLabelValues(word(hook)).Add(float64(max(n, 0)))
}

// Decisions counts the calls of the hook that decides about peers, as the hook "decision".
type Decisions struct{ m *Metrics }

// Decisions returns what counts them.
func (m *Metrics) Decisions() Decisions { return Decisions{m} }

// Decided counts one decision of the hook, how it went and how long it took.
func (d Decisions) Decided(result string, took time.Duration) {
	d.m.HookCalled("decision", result, took)
}

// Failed counts a question that the service did not answer, or not with a decision.
func (d Decisions) Failed() { d.m.HookFailed("decision") }

// queue collects the lengths of the hooks' queues.
type queue struct {
	source func(yield func(hook string, events int))
	events *prometheus.Desc
}

func newQueue(source func(yield func(hook string, events int))) *queue {
	return &queue{source, prometheus.NewDesc("weir_hook_queue", "Events that wait for a hook.", []string{"hook"}, nil)}
}

// Describe implements prometheus.Collector.
func (q *queue) Describe(ch chan<- *prometheus.Desc) { ch <- q.events }

// Collect implements prometheus.Collector. Hooks whose names are no words are added up.
func (q *queue) Collect(ch chan<- prometheus.Metric) {
	sums := map[string]int{}
	q.source(func(hook string, events int) { sums[word(hook)] += events })
	for hook, n := range sums {
		ch <- prometheus.MustNewConstMetric(q.events, prometheus.GaugeValue, float64(n), hook)
	}
}
