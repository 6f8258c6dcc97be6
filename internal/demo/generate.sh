#!/bin/sh
# Makes sample.flv: ten seconds of a moving, time-stamped picture with a tone.
set -eu
cd "$(dirname "$0")"
ffmpeg -v error -y -fflags +bitexact \
	-f lavfi -i "testsrc2=size=640x360:rate=30" \
	-f lavfi -i "sine=frequency=440:beep_factor=4:sample_rate=48000" \
	-t 10 -c:v libx264 -preset slow -profile:v main -bf 2 -g 60 -keyint_min 60 -sc_threshold 0 \
	-b:v 1000k -maxrate 1200k -bufsize 1200k -pix_fmt yuv420p \
	-af atrim=end=9.9 -c:a aac -b:a 96k -ac 2 -flags +bitexact -flvflags no_duration_filesize sample.flv
