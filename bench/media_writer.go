package bench

import (
	"encoding/binary"

	"weir/amf"
	"weir/rtmp"
)

// publishChunk is the chunk size of publishers.
const publishChunk = 4096

// template is one kind of frame, in chunks, whose header and stamp are put in place each
// time it is sent. The first chunk has fmt 1, the others fmt 3, as encoders write them.
type template struct {
	kind int
	b    []byte
	at   int // of the stamp
}

// newTemplate returns the template of a payload. Stamp and tail lie each in one chunk.
func newTemplate(kind int, payload []byte) *template {
	csid, typ, at := byte(videoCSID), byte(typeVideo), stampVideo
	if kind == audio {
		csid, typ, at = audioCSID, typeAudio, stampAudio
	}
	n := len(payload)
	b := []byte{1<<6 | csid, 0, 0, 0, byte(n >> 16), byte(n >> 8), byte(n), typ}
	at += len(b)
	for first := true; len(payload) > 0; first = false {
		if !first {
			b = append(b, 3<<6|csid)
		}
		k := min(len(payload), publishChunk)
		b = append(b, payload[:k]...)
		payload = payload[k:]
	}
	return &template{kind: kind, b: b, at: at}
}

// stampAs returns the bytes of the frame s, delta milliseconds after the last of its
// kind. They are valid until the next call.
func (t *template) stampAs(s stamp, delta uint32) []byte {
	t.b[1], t.b[2], t.b[3] = byte(delta>>16), byte(delta>>8), byte(delta)
	s.put(t.b[t.at:])
	binary.BigEndian.PutUint32(t.b[len(t.b)-stampTail:], s.tail())
	return t.b
}

// mediaWriter makes the bytes of one stream.
type mediaWriter struct {
	key, inter, sound *template
	run, stream       uint32
	frames            [kinds]uint32
	millis            [kinds]uint32
	keyPhase          uint32 // the first key frame but one comes this much earlier
}

func newMediaWriter(l load, run, stream uint32) *mediaWriter {
	return &mediaWriter{
		key:   newTemplate(video, videoFrame(l.key, true)),
		inter: newTemplate(video, videoFrame(l.inter, false)),
		sound: newTemplate(audio, audioFrame(l.audio)),
		run:   run, stream: stream,
		// The key frames of many streams are spread: 7 has no divisor in common with 60.
		keyPhase: stream * 7 % keyEvery,
	}
}

// headers returns what comes before the frames: metadata and both sequence headers, all
// with fmt 0, from which the frames' fmt 1 goes on.
func (w *mediaWriter) headers() ([]byte, error) {
	meta, err := amf.Append(nil, "@setDataFrame", "onMetaData", amf.ECMAArray{
		{Key: "width", Value: 1280.0},
		{Key: "height", Value: 720.0},
		{Key: "framerate", Value: float64(videoRate)},
		{Key: "videocodecid", Value: 7.0},
		{Key: "audiocodecid", Value: 10.0},
		{Key: "audiosamplerate", Value: float64(audioRate)},
		{Key: "stereo", Value: true},
	})
	if err != nil {
		return nil, err
	}
	var b []byte
	for _, m := range []rtmp.Message{
		{Type: typeData, ChunkStreamID: publishCSID, Payload: meta},
		{Type: typeVideo, ChunkStreamID: videoCSID, Payload: videoHeader},
		{Type: typeAudio, ChunkStreamID: audioCSID, Payload: audioHeader},
	} {
		m.StreamID = 1
		b = rtmp.AppendMessage(b, &m, publishChunk)
	}
	return b, nil
}

// due is the kind of the next frame, and when it is due in nanoseconds after the
// stream's beginning.
func (w *mediaWriter) due() (kind int, at int64) {
	v, a := videoAt(w.frames[video]), audioAt(w.frames[audio])
	if v <= a {
		return video, int64(v)
	}
	return audio, int64(a)
}

// next returns the bytes of the next frame of a kind, sent at the clock's time now. They
// are valid until the next call.
func (w *mediaWriter) next(kind int, now int64) []byte {
	n := w.frames[kind]
	t, at := w.inter, videoAt(n)
	switch {
	case kind == audio:
		t, at = w.sound, audioAt(n)
	case n == 0 || (n+w.keyPhase)%keyEvery == 0:
		t = w.key
	}
	ms := uint32(at.Milliseconds())
	b := t.stampAs(stamp{run: w.run, stream: w.stream, seq: n, sent: now}, ms-w.millis[kind])
	w.frames[kind]++
	w.millis[kind] = ms
	return b
}
