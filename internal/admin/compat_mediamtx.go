package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"weir/internal/session"
)

// MediaMTX's playback server lists what was recorded of a path, and gives a range of it.
const (
	compatMediaMTX = "/compat/mediamtx"
	// mtxHole is how far apart spans may be that are listed as one, and how long before a span one may ask for it.
	mtxHole = time.Second
	// mtxMost bounds the files that a list is made of.
	mtxMost = 10000
)

// mtxSpan is an entry of the list.
type mtxSpan struct {
	Start    time.Time `json:"start"`
	Duration float64   `json:"duration"`
	URL      string    `json:"url"`
}

// mtxSpans returns the spans of the recording that is asked for, or else of the one that has the most of a path from one time to another, joined as
// MediaMTX joins them. It fails as Recordings.List.
func (s *Server) mtxSpans(r *http.Request, from, to time.Time) ([]RecordingSpan, error) {
	q := RecordingQuery{Path: r.URL.Query().Get("path"), From: from, To: to}
	if q.Path == "" {
		return nil, &RecordingError{http.StatusBadRequest, "bad_range", "path is missing"}
	}
	only := r.URL.Query().Get("recording")
	byName, time := map[string][]RecordingSpan{}, map[string]float64{}
	best := ""
	for files := 0; files < mtxMost; {
		list, err := s.conf.Recordings.List(r.Context(), q)
		if err != nil {
			return nil, err
		}
		for _, span := range list.Spans {
			files += len(span.Files)
			if only != "" && span.Recording != only {
				continue
			}
			name, joined := span.Recording, byName[span.Recording]
			if n := len(joined); n > 0 && joined[n-1].Codecs == span.Codecs && joined[n-1].Coding == span.Coding && span.From.Sub(joined[n-1].To) <= mtxHole {
				joined[n-1].To = span.To
				joined[n-1].Duration = span.To.Sub(joined[n-1].From).Seconds()
			} else {
				byName[name] = append(joined, span)
			}
			if time[name] += span.Duration; best == "" || time[name] > time[best] {
				best = name
			}
		}
		if q.Cursor = list.Next; q.Cursor == "" {
			break
		}
	}
	if len(byName[best]) == 0 {
		return nil, ErrNoRecording
	}
	return byName[best], nil
}

// mtxList answers with what was recorded of a path.
func (s *Server) mtxList(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, err := mtxTime(q, "start")
	var to time.Time
	if err == nil {
		to, err = mtxTime(q, "end")
	}
	var spans []RecordingSpan
	if err == nil {
		spans, err = s.mtxSpans(r, from, to)
	}
	if err != nil {
		mtxFail(w, err)
		return
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	list := []mtxSpan{}
	for i := range spans {
		e := mtxSpan{Start: spans[i].From, Duration: spans[i].Duration}
		e.URL = (&url.URL{Scheme: scheme, Host: r.Host, Path: compatMediaMTX + "/get", RawQuery: url.Values{
			"path": {spans[i].Path}, "recording": {spans[i].Recording}, "start": {e.Start.Format(time.RFC3339Nano)}, "duration": {strconv.FormatFloat(e.Duration, 'f', -1, 64)},
		}.Encode()}).String()
		list = append(list, e)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list) // the client is gone if this fails
}

// mtxGet answers with what was recorded of a path from a time on, up to the first gap, as plain MP4.
func (s *Server) mtxGet(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, err := mtxTime(q, "start")
	seconds, bad := strconv.ParseFloat(q.Get("duration"), 64)
	if err == nil && (from.IsZero() || bad != nil || !(seconds > 0) || seconds > 1e9) {
		err = &RecordingError{http.StatusBadRequest, "bad_range", "start is a time such as 2027-01-31T18:00:00Z, and duration seconds above 0"}
	}
	if f := q.Get("format"); err == nil && f != "" && f != "mp4" && f != "fmp4" {
		err = &RecordingError{http.StatusBadRequest, "bad_format", "format is mp4 or fmp4; both are answered with plain MP4"}
	}
	var spans []RecordingSpan
	duration := time.Duration(seconds * float64(time.Second))
	if err == nil {
		spans, err = s.mtxSpans(r, from, from.Add(duration+mtxHole))
	}
	if err == nil && spans[0].From.Sub(from) > mtxHole {
		err = ErrNoRecording
	}
	if err == nil {
		// Clients cut times off at milliseconds or seconds, and so ask from a little before the beginning that they were told of.
		from = spans[0].From
		to := from.Add(duration)
		if end := spans[0].To; end.Before(to) {
			to = end
		}
		past := r.Clone(r.Context())
		past.URL.RawQuery = url.Values{
			"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)}, "recording": {spans[0].Recording},
		}.Encode()
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(fileTime))
		err = s.conf.Recordings.ServeFilm(w, past, spans[0].Path)
	}
	if err != nil {
		mtxFail(w, err)
	}
}

// mtxTime reads a time of a query; zero if it is not there.
func mtxTime(q url.Values, key string) (time.Time, error) {
	text := q.Get(key)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, &RecordingError{http.StatusBadRequest, "bad_range", key + " is a time such as 2027-01-31T18:00:00Z"}
	}
	return t, nil
}

// mtxFail answers with an error in MediaMTX's form.
func mtxFail(w http.ResponseWriter, err error) {
	status, text := http.StatusInternalServerError, "the server failed; its log says why"
	if e, ok := errors.AsType[*RecordingError](err); ok {
		status, text = e.Status, e.Detail
	}
	switch {
	case errors.Is(err, ErrNoRecording):
		status, text = http.StatusNotFound, "no recording segments found"
	case errors.Is(err, ErrIndexing):
		status, text = http.StatusServiceUnavailable, "the index of recordings is being made anew: ask again in a few seconds"
		w.Header().Set("Retry-After", strconv.Itoa(session.RetrySeconds))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "error": session.Printable(text, 16*maxEcho)}) // the client is gone if this fails
}
