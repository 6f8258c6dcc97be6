package archive

import (
	"encoding/json"
	"net/http"
	"time"
)

// spanned is a span or a gap as viewers are told of it.
type spanned struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Codecs string    `json:"codecs,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// writeSpans answers with spans and gaps as JSON, and with the time to which they are to be compared.
func writeSpans(w http.ResponseWriter, r *http.Request, now time.Time, spans []Span, gaps []Gap) {
	answer := struct {
		Now   time.Time `json:"now"` // by the server's clock
		Spans []spanned `json:"spans"`
		Gaps  []spanned `json:"gaps"`
	}{now.UTC(), []spanned{}, []spanned{}}
	for _, s := range spans {
		answer.Spans = append(answer.Spans, spanned{From: s.From, To: s.To, Codecs: s.Codecs})
	}
	for _, g := range gaps {
		answer.Gaps = append(answer.Gaps, spanned{From: g.From, To: g.To, Reason: g.Reason})
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(answer) // the viewer is gone if it fails
	}
}
