// Package test runs the server end to end with real clients: ffmpeg, GStreamer,
// rtmpdump, curl, mpv and VLC as Debian 12 has them, and, if WEIR_TEST_TRIXIE is set
// (make test-clients), the ffmpeg, GStreamer and OBS Studio of Debian 13.
//
// A publisher sends a file as it is, without encoding it anew, and each player keeps what
// it received as an FLV file. Both files are read frame by frame, and for each elementary
// stream the received frames must be one contiguous run of those sent: the same payloads
// under the same codec configuration, in order, none missing, none twice. The reader is our
// own package flv, for two reasons: it is the only one that reads all of Enhanced RTMP (what
// Debian 13's ffmpeg and older know of it ends at video), and it shows payloads as they
// stand in the file, while ffprobe shows what its demuxer makes of them. So that a
// fault of that package cannot hide behind itself, every capture must also decode with
// ffmpeg without a complaint, and one test compares the package with ffprobe.
//
// What the tests need and lack is a failure that names it; scripts/install installs it.
//
// Variables of the environment:
//
//	WEIR_TEST_TRIXIE  not empty: also run what needs the Debian 13 root of scripts/trixie
//	WEIR_TEST_RTMP    host:port of another RTMP server to be tested in place of ours,
//	                  without HTTP; its application is "live"
//	WEIR_TEST_CACHE   where test media and the Debian 13 root are kept (~/.cache/weir)
//	WEIR_TEST_KEEP    folder to which captures that fail are copied
package test
