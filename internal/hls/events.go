package hls

import (
	"time"

	"weir/format/m3u8"
)

// maxEvents bounds the date ranges that a playlist has.
const maxEvents = 64

// events are what happened at a date: date ranges.
type events struct {
	list []m3u8.DateRange
}

// add adds a date range; the oldest goes if there are too many.
func (e *events) add(d m3u8.DateRange) {
	if len(e.list) == maxEvents {
		e.list = append(e.list[:0], e.list[1:]...)
	}
	e.list = append(e.list, d)
}

// find returns the date range with an id, nil if there is none. It is good until the next add.
func (e *events) find(id string) *m3u8.DateRange {
	for i := range e.list {
		if e.list[i].ID == id {
			return &e.list[i]
		}
	}
	return nil
}

// ranges returns those that are not over before first, the date at which the playlist begins.
func (e *events) ranges(first time.Time) (list []m3u8.DateRange) {
	for i := range e.list {
		d := e.list[i]
		end := d.StartDate
		switch {
		case d.Duration != nil:
			end = end.Add(*d.Duration)
		case d.PlannedDuration != nil:
			end = end.Add(*d.PlannedDuration)
		}
		if !end.Before(first) {
			list = append(list, d)
		}
	}
	return list
}
