package fmp4

// Schemes of event messages.
const (
	// SchemeID3 is timed metadata in ID3 tags (AOMedia, Carriage of ID3 Timed Metadata in CMAF).
	SchemeID3 = "https://aomedia.org/emsg/ID3"
	// SchemeSCTE35 is splice information sections in binary (SCTE 214-1).
	SchemeSCTE35 = "urn:scte:scte35:2013:bin"
)

// Emsg is an event message (ISO/IEC 23009-1, 5.10.3.3). It goes before a fragment.
type Emsg struct {
	Scheme, Value string
	// Timescale is the ticks in a second of Time and Duration.
	Timescale uint32
	// Time is the presentation time at which it begins; not negative.
	Time int64
	// Duration is 0xffffffff if unknown.
	Duration uint32
	// ID tells repetitions of an event from another one.
	ID   uint32
	Data []byte
}

// AppendEmsg appends an event message box of version 1.
func AppendEmsg(dst []byte, e Emsg) []byte {
	b, at := openFull(dst, "emsg", 1, 0)
	b = be32(b, e.Timescale)
	b = be64(b, uint64(max(e.Time, 0)))
	b = be32(b, e.Duration)
	b = be32(b, e.ID)
	b = append(append(b, e.Scheme...), 0)
	b = append(append(b, e.Value...), 0)
	return closeBox(append(b, e.Data...), at)
}
