package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"weir/internal/admin"
	"weir/internal/record"
	"weir/internal/stream"
)

// newRecords makes what records streams.
func (s *Server) newRecords() *record.Manager {
	return record.New(record.Options{
		Log: s.log, Stream: s.hub.Get, Now: s.hub.Now,
		Entries: func(path string) []record.Config { return s.streamConfig(path).Record },
		Named:   s.tracker.Named, Publish: s.events.Publish, Metrics: s.metrics, Catalog: s.archive,
	})
}

// record lets recordings begin with a publisher's first frame, as the one that admitted it and the configuration say.
func (s *Server) record(e stream.Event) {
	var granted []string
	if x := s.sessions.Get(e.Session); x != nil {
		granted = x.Terms().Record
	}
	s.records.Publishing(e.Path, granted)
}

// runRecords repairs what a crash left, and then waits for the recordings to end.
func (s *Server) runRecords(ctx context.Context) error {
	var repair sync.WaitGroup
	defer repair.Wait()
	repair.Go(func() { s.records.RepairAll(ctx, s.recordedIn(ctx)) })
	return s.records.Run(ctx)
}

// recordedIn returns the directories that may have files which a crash left: those of the configuration, and others that were in it.
func (s *Server) recordedIn(ctx context.Context) []string {
	dirs := s.archive.Unfinished(ctx)
	for _, p := range s.places() {
		dirs = append(dirs, p.Dir)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// adminRecorders shows the recordings that run as the API has them.
type adminRecorders struct{ *record.Manager }

// List implements admin.Recorders.
func (r adminRecorders) List(path string) ([]admin.Recorder, error) {
	states, err := r.Manager.List(path)
	if err != nil {
		return nil, recorderError(err)
	}
	list := make([]admin.Recorder, len(states))
	for i := range states {
		list[i] = recorder(&states[i])
	}
	return list, nil
}

// Start implements admin.Recorders.
func (r adminRecorders) Start(ctx context.Context, path, name string) (admin.Recorder, error) {
	st, err := r.Manager.Start(ctx, path, name)
	return recorder(&st), recorderError(err)
}

// Stop implements admin.Recorders.
func (r adminRecorders) Stop(ctx context.Context, path, name string) (admin.Recorder, error) {
	st, err := r.Manager.Stop(ctx, path, name)
	return recorder(&st), recorderError(err)
}

// Cut implements admin.Recorders.
func (r adminRecorders) Cut(_ context.Context, path, name string) (admin.Recorder, error) {
	st, err := r.Manager.Cut(path, name)
	return recorder(&st), recorderError(err)
}

// recorderError makes an error one that package admin knows.
func recorderError(err error) error {
	switch {
	case errors.Is(err, record.ErrNoStream):
		return admin.ErrNoStream
	case errors.Is(err, record.ErrNoEntry):
		return admin.ErrNoRecorder
	case errors.Is(err, record.ErrOff):
		return admin.ErrRecorderOff
	}
	return err
}

func recorder(st *record.State) admin.Recorder {
	r := admin.Recorder{
		Stream: st.Stream, Name: st.Recording, State: st.State, Origin: string(st.Origin), Format: st.Format, ID: st.ID, Next: st.Next, Dir: st.Dir, File: st.File,
		Duration: st.Duration.Round(time.Millisecond).Seconds(), Bytes: st.Bytes, Dropped: st.Dropped, Error: st.Error,
	}
	if !st.Start.IsZero() {
		r.Start = &st.Start
	}
	return r
}
