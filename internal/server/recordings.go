package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"time"

	"weir/internal/admin"
	"weir/internal/archive"
	"weir/internal/archive/s3"
	"weir/internal/event"
	"weir/internal/record"
)

// newArchive opens the index of recordings.
func (s *Server) newArchive() (*archive.Archive, error) {
	return archive.New(archive.Options{
		Log: s.log, State: s.conf.State, Places: s.places,
		Storage: func() []s3.Config { return s.current.Load().conf.S3 },
		Event: func(typ string, f *record.File, data map[string]any) {
			data["id"], data["recording"], data["file"] = f.ID, f.Recording, f.Name
			s.events.Publish(event.Event{Type: typ, Stream: &event.Stream{Path: f.Stream, Epoch: f.Epoch}, Data: data})
		},
	})
}

// places returns the directories in which the configuration has recordings.
func (s *Server) places() []archive.Place {
	var list []archive.Place
	for _, e := range s.current.Load().entries {
		for i := range e.Record {
			dir := filepath.Clean(e.Record[i].Dir)
			if slices.ContainsFunc(list, func(p archive.Place) bool { return p.Dir == dir }) {
				continue
			}
			list = append(list, archive.Place{Dir: dir, Rule: func(stream string) (string, record.Keep, string) {
				return ruleOf(s.streamConfig(stream).Record, dir)
			}})
		}
	}
	return list
}

// ruleOf returns the recording that makes the files of a directory, by what rule they are kept and where they go. If it may have been any of several, they
// are kept.
func ruleOf(entries []record.Config, dir string) (recording string, keep record.Keep, upload string) {
	for i, n := range entries {
		if filepath.Clean(n.Dir) != dir {
			continue
		}
		if slices.ContainsFunc(entries[i+1:], func(c record.Config) bool { return filepath.Clean(c.Dir) == dir }) {
			return n.Name, record.Keep{}, ""
		}
		return n.Name, n.Keep, n.Upload
	}
	return "", record.Keep{}, ""
}

// lives reports whether a life of a stream goes on.
func (s *Server) lives(path string, epoch uint64) bool {
	named, _ := s.tracker.Named(path)
	return s.hub.Get(path) != nil && named.Epoch == epoch
}

// recordings shows the archive as the API has it.
type recordings struct{ *archive.Archive }

// List implements admin.Recordings.
func (a recordings) List(ctx context.Context, q admin.RecordingQuery) (admin.RecordingList, error) {
	list, err := a.Archive.List(ctx, archive.Query{Stream: q.Path, From: q.From, To: q.To, Cursor: q.Cursor, Limit: q.Limit})
	if err != nil {
		return admin.RecordingList{}, recordingError(err)
	}
	out := admin.RecordingList{Spans: []admin.RecordingSpan{}, Gaps: []admin.RecordingGap{}, Next: list.Next}
	for _, s := range list.Spans {
		span := admin.RecordingSpan{
			Path: s.Stream, Recording: s.Recording, From: s.From, To: s.To, Duration: s.To.Sub(s.From).Seconds(), Codecs: s.Codecs, Coding: s.Coding,
		}
		for i := range s.Parts {
			p := &s.Parts[i]
			span.Files = append(span.Files, admin.RecordingFile{
				ID: p.ID, Name: p.Name, Format: p.Format, State: p.State.String(), Start: p.Start, Duration: p.Duration.Seconds(),
				Bytes: p.Bytes, Uploaded: p.Object != "",
			})
		}
		out.Spans = append(out.Spans, span)
	}
	for _, g := range list.Gaps {
		out.Gaps = append(out.Gaps, admin.RecordingGap{
			Path: g.Stream, Recording: g.Recording, From: g.From, To: g.To, Duration: g.To.Sub(g.From).Seconds(), Reason: g.Reason,
		})
	}
	return out, nil
}

// Delete implements admin.Recordings.
func (a recordings) Delete(ctx context.Context, id string) error {
	return recordingError(a.Archive.Delete(ctx, id))
}

// ServeFile implements admin.Recordings.
func (a recordings) ServeFile(w http.ResponseWriter, r *http.Request, id string) error {
	row, f, err := a.Open(r.Context(), id)
	if errors.Is(err, archive.ErrElsewhere) {
		to, err := a.Elsewhere(r.Context(), &row, "attachment; filename*=UTF-8''"+url.PathEscape(path.Base(row.Name)))
		if err != nil {
			return &admin.RecordingError{Status: http.StatusBadGateway, Code: "storage", Detail: archive.ErrElsewhere.Error() + ": " + err.Error()}
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return nil
	}
	if err != nil {
		return recordingError(err)
	}
	defer f.Close()
	h := w.Header()
	h.Set("ETag", `"`+row.ID+`"`)
	h.Set("Content-Type", row.MediaType())
	h.Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(path.Base(row.Name)))
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

// ServeFilm implements admin.Recordings.
func (a recordings) ServeFilm(w http.ResponseWriter, r *http.Request, path string) error {
	return recordingError(a.Archive.ServeFilm(w, r, path))
}

// recordingError gives the archive's errors the form of the API.
func recordingError(err error) error {
	if err == nil {
		return nil
	}
	for _, e := range []struct {
		is     error
		status int
		code   string
	}{
		{archive.ErrQuery, http.StatusUnprocessableEntity, "bad_range"},
		{archive.ErrCodecs, http.StatusConflict, "codec_change"},
		{archive.ErrGap, http.StatusConflict, "gap"},
		{archive.ErrStorage, http.StatusBadGateway, "storage"},
		{archive.ErrWithdraw, http.StatusBadGateway, "storage"},
		{archive.ErrBusy, http.StatusServiceUnavailable, "busy"},
		{archive.ErrFormat, http.StatusConflict, "format"},
		{archive.ErrFragments, http.StatusConflict, "fragments"},
	} {
		if errors.Is(err, e.is) {
			return &admin.RecordingError{Status: e.status, Code: e.code, Detail: err.Error()}
		}
	}
	switch {
	case errors.Is(err, archive.ErrNotFound):
		return admin.ErrNoRecording
	case errors.Is(err, archive.ErrRecording):
		return admin.ErrRecording
	case errors.Is(err, archive.ErrIndexing):
		return admin.ErrIndexing
	}
	return err
}
