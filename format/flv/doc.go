// Package flv reads and writes FLV: tag bodies, which are also the bodies of RTMP's
// audio, video and data messages, and whole files or streams of tags.
//
// It implements Adobe's Video File Format Specification 10.1, Annex E, and the tag
// bodies of Enhanced RTMP v2: FourCC codecs, ModEx, Multitrack, video metadata and
// multichannel configuration. Beyond the specifications it knows codec ids 12 (H.265)
// and 13 (AV1) as they are used in the wild, and H.265 that calls itself codec id 7.
//
// A [Demuxer] turns a tag body into [av.Frame] values, and [AppendHeader] turns a frame
// back into the bytes before its payload. Both are free of allocations and of loss: a
// frame's Wire and Side fields keep what the neutral fields cannot say, so that with
// the form [AsReceived] the body comes out as it went in.
//
// A [Reader] finds the tags of a file and survives truncation and rubbish; a
// [FrameReader] goes on to frames. A [Writer] writes either.
//
// Not supported: encrypted tags (they are read and written as tags but yield no
// frames), the keyframe index of recorded files, and writing multitrack messages that
// carry more than one track.
package flv
