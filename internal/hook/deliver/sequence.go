package deliver

import "container/list"

// maxSequences bounds the streams whose last number is remembered.
const maxSequences = 100_000

// sequence numbers the events of each stream from 1. No number comes twice for a stream, also if
// so many streams have been seen that some were forgotten: streams that are new after that begin
// past every number that was forgotten.
type sequence struct {
	floor uint64
	last  map[string]*list.Element // of *counter, by stream
	used  list.List                // the longest unused first
}

type counter struct {
	stream string
	n      uint64
}

func newSequence() *sequence { return &sequence{last: map[string]*list.Element{}} }

// next returns the number of the next event of a stream.
func (s *sequence) next(stream string) uint64 {
	n := s.floor + 1
	if e := s.last[stream]; e != nil {
		n = e.Value.(*counter).n + 1 //nolint:forcetypeassert // only counters are in it
	}
	s.set(stream, n)
	return n
}

// set says that the last number of a stream is n, if it is not higher already.
func (s *sequence) set(stream string, n uint64) {
	if e := s.last[stream]; e != nil {
		c := e.Value.(*counter) //nolint:forcetypeassert // only counters are in it
		c.n = max(c.n, n)
		s.used.MoveToBack(e)
		return
	}
	s.last[stream] = s.used.PushBack(&counter{stream, n})
	if s.used.Len() > maxSequences {
		c := s.used.Remove(s.used.Front()).(*counter) //nolint:forcetypeassert // only counters are in it
		delete(s.last, c.stream)
		s.floor = max(s.floor, c.n)
	}
}

// all calls f with the last number of each stream, the longest unused first.
func (s *sequence) all(f func(stream string, n uint64)) {
	for e := s.used.Front(); e != nil; e = e.Next() {
		c := e.Value.(*counter) //nolint:forcetypeassert // only counters are in it
		f(c.stream, c.n)
	}
}
