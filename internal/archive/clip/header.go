package clip

import (
	"encoding/binary"
	"math"
	"time"
)

// movieScale is the ticks in a second of the clip as a whole.
const movieScale = 90000

// tkhdTail is how many bytes of a tkhd box follow the track's number: reserved, duration of 4 bytes, and what is copied.
const tkhdTail = 4 + 4 + 4 + tkhdCopied

// tkhdCopied is the end of a tkhd box: reserved, layer, group, volume, reserved, matrix, width and height.
const tkhdCopied = 60

// chunkTable is where the places of chunks stand in a head.
type chunkTable struct {
	at, count int
	wide      bool
}

// header returns all that stands before the media, of which there are so many bytes.
func header(strips []strip, length time.Duration, data int64) []byte {
	samples := 0
	for i := range strips {
		samples += len(strips[i].samples)
	}
	b, at := open(make([]byte, 0, 16<<10+12*samples), "ftyp")
	b = append(b, "isom\x00\x00\x02\x00isomiso2mp41"...)
	b = shut(b, at)
	// Places take 64 bits if the head, which is not known yet, could take them beyond 4 GiB.
	wide := data > math.MaxUint32-64<<20
	var tables []chunkTable
	movie := max(int64(length/time.Second)*movieScale+int64(length%time.Second)*movieScale/int64(time.Second), 1)
	b, moov := open(b, "moov")
	b, at = openFull(b, "mvhd", 1, 0)
	b = be64(be64(b, 0), 0)
	b = be64(be32(b, movieScale), uint64(movie))
	b = be16(be32(b, 1<<16), 1<<8)
	b = append(b, make([]byte, 10)...)
	for _, v := range [9]uint32{1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30} {
		b = be32(b, v)
	}
	b = append(b, make([]byte, 24)...)
	next := uint32(1)
	for i := range strips {
		next = max(next, strips[i].id+1)
	}
	b = shut(be32(b, next), at)
	for i := range strips {
		if len(strips[i].samples) > 0 {
			b = strips[i].append(b, movie, wide, &tables)
		}
	}
	b = shut(b, moov)
	if data+8 > math.MaxUint32 {
		b = append(be32(b, 1), "mdat"...)
		b = be64(b, uint64(data)+16)
	} else {
		b = append(be32(b, uint32(data)+8), "mdat"...)
	}
	patch(b, tables, int64(len(b)))
	return b
}

// append appends the track's trak box.
func (t *strip) append(b []byte, movie int64, wide bool, tables *[]chunkTable) []byte {
	first := &t.samples[0]
	b, trak := open(b, "trak")
	tkhd := child(t.trak, "tkhd")
	b, at := openFull(b, "tkhd", 1, binary.BigEndian.Uint32(tkhd)&0xffffff)
	b = be64(be64(b, 0), 0)
	b = be64(be32(be32(b, t.id), 0), uint64(movie))
	b = shut(append(b, tkhd[len(tkhd)-tkhdCopied:]...), at)
	b = t.appendEdits(b, movie)
	_ = children(t.trak, func(typ string, whole, mdia []byte) error {
		switch typ {
		case "tkhd", "edts":
		case "mdia":
			var at int
			b, at = open(b, "mdia")
			_ = children(mdia, func(typ string, whole, body []byte) error {
				switch typ {
				case "mdhd":
					b = t.appendMediaHeader(b, body, uint64(t.ends-first.dts))
				case "minf":
					var at int
					b, at = open(b, "minf")
					_ = children(body, func(typ string, whole, _ []byte) error {
						if typ == "stbl" {
							b = t.appendTables(b, wide, tables)
						} else {
							b = append(b, whole...)
						}
						return nil
					})
					b = shut(b, at)
				default:
					b = append(b, whole...)
				}
				return nil
			})
			b = shut(b, at)
		default:
			b = append(b, whole...)
		}
		return nil
	})
	return shut(b, trak)
}

// appendMediaHeader appends an mdhd box with another duration.
func (t *strip) appendMediaHeader(b, old []byte, duration uint64) []byte {
	b, at := openFull(b, "mdhd", 1, 0)
	b = be64(be64(b, 0), 0)
	b = be64(be32(b, uint32(t.scale)), duration)
	return shut(append(b, old[len(old)-4:]...), at) // the language
}

// appendEdits appends the edit list: what of the track is shown when (ISO/IEC 14496-12, 8.6.6).
func (t *strip) appendEdits(b []byte, movie int64) []byte {
	shown := t.firstShown()
	empty, media := int64(0), t.lead()-t.samples[0].dts
	if shown > 0 { // it begins after the clip does
		empty, media = shown*movieScale/t.scale, media+shown
	}
	count := uint32(1)
	if empty > 0 {
		count++
	}
	b, edts := open(b, "edts")
	b, at := openFull(b, "elst", 1, 0)
	b = be32(b, count)
	if empty > 0 {
		b = be64(be64(b, uint64(empty)), math.MaxUint64)
		b = be32(b, 1<<16)
	}
	b = be64(be64(b, uint64(max(movie-empty, 0))), uint64(media))
	b = be32(b, 1<<16)
	return shut(shut(b, at), edts)
}

// firstShown is when the first picture is shown: it is among the first few that are decoded.
func (t *strip) firstShown() int64 {
	shown := int64(math.MaxInt64)
	for i := range t.samples[:min(len(t.samples), 64)] {
		shown = min(shown, t.samples[i].dts+int64(t.samples[i].cts))
	}
	return shown
}

// lead is how much later all samples are shown by the tables than they are to be, so that none is shown before the
// track's first one is decoded, which tables cannot say. The edit list takes it back.
func (t *strip) lead() int64 { return max(t.samples[0].dts-t.firstShown(), 0) }

// appendTables appends the stbl box.
func (t *strip) appendTables(b []byte, wide bool, tables *[]chunkTable) []byte {
	list := t.samples
	b, stbl := open(b, "stbl")
	b, at := open(b, "stsd")
	b = shut(append(b, t.stsd...), at)

	b, at = openFull(b, "stts", 0, 0)
	b = t.appendRuns(b, func(i int) uint32 {
		end := t.ends
		if i+1 < len(list) {
			end = list[i+1].dts
		}
		return uint32(min(max(end-list[i].dts, 0), math.MaxUint32))
	})
	b = shut(b, at)

	lead := int32(min(t.lead(), math.MaxInt32/2))
	offsets, sync := false, true
	for i := range list {
		offsets = offsets || list[i].cts+lead != 0
		sync = sync && list[i].key
	}
	if offsets {
		b, at = openFull(b, "ctts", 1, 0)
		b = t.appendRuns(b, func(i int) uint32 { return uint32(list[i].cts + lead) })
		b = shut(b, at)
	}
	if !sync {
		b, at = openFull(b, "stss", 0, 0)
		place, n := len(b), uint32(0)
		b = be32(b, 0)
		for i := range list {
			if list[i].key {
				n++
				b = be32(b, uint32(i)+1)
			}
		}
		binary.BigEndian.PutUint32(b[place:], n)
		b = shut(b, at)
	}

	b, at = openFull(b, "stsz", 0, 0)
	b = be32(be32(b, 0), uint32(len(list)))
	for i := range list {
		b = be32(b, list[i].size)
	}
	b = shut(b, at)
	return shut(t.appendChunks(b, wide, tables), stbl)
}

// appendRuns appends a table of (count, value).
func (t *strip) appendRuns(b []byte, value func(i int) uint32) []byte {
	place, rows := len(b), uint32(0)
	b = be32(b, 0)
	for i := 0; i < len(t.samples); {
		v, n := value(i), 1
		for i+n < len(t.samples) && value(i+n) == v {
			n++
		}
		b = be32(be32(b, uint32(n)), v)
		rows++
		i += n
	}
	binary.BigEndian.PutUint32(b[place:], rows)
	return b
}

// appendChunks appends stsc and stco or co64: a chunk is samples that lie one behind the other.
func (t *strip) appendChunks(b []byte, wide bool, tables *[]chunkTable) []byte {
	var starts []int // the first sample of each chunk
	for i := range t.samples {
		if i == 0 || t.samples[i].offset != t.samples[i-1].offset+int64(t.samples[i-1].size) {
			starts = append(starts, i)
		}
	}
	in := func(c int) int {
		if c+1 < len(starts) {
			return starts[c+1] - starts[c]
		}
		return len(t.samples) - starts[c]
	}
	b, at := openFull(b, "stsc", 0, 0)
	place, rows := len(b), uint32(0)
	b = be32(b, 0)
	for c := range starts {
		if c == 0 || in(c) != in(c-1) {
			b = be32(be32(be32(b, uint32(c)+1), uint32(in(c))), 1)
			rows++
		}
	}
	binary.BigEndian.PutUint32(b[place:], rows)
	b = shut(b, at)
	typ := "stco"
	if wide {
		typ = "co64"
	}
	b, at = openFull(b, typ, 0, 0)
	b = be32(b, uint32(len(starts)))
	*tables = append(*tables, chunkTable{len(b), len(starts), wide})
	for _, i := range starts {
		if wide {
			b = be64(b, uint64(t.samples[i].offset))
		} else {
			b = be32(b, uint32(t.samples[i].offset))
		}
	}
	return shut(b, at)
}
