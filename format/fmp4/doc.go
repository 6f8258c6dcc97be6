// Package fmp4 writes fragmented MP4 as live streaming uses it, and reads MP4 files: ISO/IEC
// 14496-12 (the boxes), 14496-15 (H.264 and H.265), 14496-14 (AAC and MP3), 23000-19 (CMAF),
// ETSI TS 102 366 annex F (AC-3 and E-AC-3), and the codecs' own bindings of AV1, VP9, Opus
// and FLAC.
//
// An initialization segment (AppendInit) describes the tracks; each fragment after it
// (AppendFragment) holds some whole samples of some of them. A Reader takes plain files as well as
// fragmented ones.
//
// Not supported: encryption, subtitles, H.266, and media in other files. Not written: edit lists,
// sample groups, boxes of colours and bit rates, and the dependent substreams of E-AC-3, of which
// the sample entry describes the independent one. Of what is read, a track has its first sample
// description throughout, and its edit list only moves its beginning.
package fmp4
