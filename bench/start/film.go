//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// film is what is published: pictures that carry their number, and sound.
type film struct{ gop, bframes int } // seconds; pictures

const (
	width, height = 320, 180
	rate          = 25 // pictures a second
	filmLength    = 120

	// The number of a picture is written into it as squares along its upper edge, white for 1, the
	// lowest bit at the left.
	digits, square = 14, 16
)

func (f film) String() string { return fmt.Sprintf("GOP %d s, %d B-frames", f.gop, f.bframes) }

// file returns the film as FLV, made at the first call.
func (f film) file(dir string) (string, error) {
	name := filepath.Join(dir, fmt.Sprintf("gop%d-bf%d.flv", f.gop, f.bframes))
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	var pictures strings.Builder
	fmt.Fprintf(&pictures, "testsrc2=s=%dx%d:r=%d,drawbox=x=0:y=0:w=iw:h=%d:color=black:t=fill", width, height, rate, square)
	for i := range digits {
		fmt.Fprintf(&pictures, `,drawbox=x=%d:y=0:w=%d:h=%d:color=white:t=fill:enable='gt(bitand(n\,%d)\,0)'`, i*square, square, square, 1<<i)
	}
	unfinished := name + ".part"
	out, err := exec.Command("ffmpeg", "-y", "-v", "error",
		"-f", "lavfi", "-i", pictures.String(), "-f", "lavfi", "-i", "sine=f=440:r=48000", "-t", fmt.Sprint(filmLength),
		"-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-b:v", "800k", "-sc_threshold", "0",
		"-bf", fmt.Sprint(f.bframes), "-g", fmt.Sprint(f.gop*rate), "-keyint_min", fmt.Sprint(f.gop*rate),
		"-c:a", "aac", "-b:a", "96k", "-f", "flv", unfinished).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("making the film: %w\n%s", err, out)
	}
	return name, os.Rename(unfinished, name)
}

// numberIn reads the number in a picture's luma, whose rows are stride bytes long.
func numberIn(luma []byte, stride int) int {
	n := 0
	for i := range digits {
		if luma[square/2*stride+i*square+square/2] > 128 {
			n |= 1 << i
		}
	}
	return n
}
