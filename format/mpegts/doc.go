// Package mpegts writes and reads MPEG-2 transport streams (Rec. ITU-T H.222.0 |
// ISO/IEC 13818-1) of one program: H.264, H.265, AAC in ADTS, MPEG audio, AC-3 and
// E-AC-3 as ATSC A/53 and A/52 carry them, Opus as ETSI TS 101 154 and the Opus
// mapping carry it, timed ID3 as HTTP Live Streaming wants it, and SCTE-35 sections.
//
// A [Muxer] appends whole packets of 188 bytes to a slice; in the steady state it does
// not allocate. A [Demuxer] takes bytes split anywhere and returns [av.Frame] values
// that look as they do from any other source: NAL units behind lengths of four bytes,
// raw AAC, a Config frame before the media that it belongs to. It survives loss, repeats
// and rubbish, and counts them.
//
// Timed ID3 and SCTE-35 are tracks and frames of kind av.Data and type av.Media, with
// the codecs [ID3] and [SCTE35].
//
// Not supported: AAC in LATM, and of AAC in ADTS several raw data blocks in a frame; H.266, AV1, MPEG-1 and MPEG-2 video, DTS,
// subtitles; Opus channels without one of the channel configurations 0 to 8; video access
// units that go on in the next PES packet; scrambling; more than one program.
package mpegts
