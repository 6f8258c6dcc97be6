// Package ac3 reads the header of AC-3 and E-AC-3 syncframes (ETSI TS 102 366 V1.4.1, 4.3 and
// E.1.2), which describe themselves. Of E-AC-3 it counts the channels of the independent
// substream only: the 6.1 and more that dependent ones add are not seen.
package ac3

import (
	"errors"
	"fmt"
	"io"
)

// SamplesPerBlock is how many samples per channel an audio block holds.
const SamplesPerBlock = 256

// Frame is the header of a syncframe.
type Frame struct {
	Enhanced bool // E-AC-3
	// Dependent is true for a dependent substream of E-AC-3, which adds to the
	// independent one before it.
	Dependent  bool
	Substream  uint8 // 0 to 7; 0 of AC-3
	SampleRate int   // Hz
	Channels   int   // 1 to 6, the low frequencies counted in
	LFE        bool
	Samples    int   // per channel: 1536, of E-AC-3 also 256, 512 or 768
	Size       int   // bytes of the whole frame
	Mode       uint8 // acmod
	ID         uint8 // bsid
	// BitRate is in bits a second, of AC-3 as the header names it.
	BitRate int
}

// ErrFrame is returned for bytes that are not a syncframe.
var ErrFrame = errors.New("not a syncframe")

var (
	// kilobits a second by frmsizecod / 2 (Table 4.13).
	bitRates = [...]int{32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640}
	rates    = [3]int{48000, 44100, 32000}
	// full bandwidth channels by acmod (Table 4.3).
	fullBand = [8]int{2, 1, 2, 3, 3, 4, 4, 5}
)

// ParseFrame parses the header that b begins with; the frame itself need not be there. It
// fails with ErrFrame or io.ErrUnexpectedEOF.
func ParseFrame(b []byte) (Frame, error) {
	f, err := parseFrame(b)
	if err != nil {
		return Frame{}, fmt.Errorf("ac3: reading a syncframe: %w", err)
	}
	return f, nil
}

func parseFrame(b []byte) (Frame, error) {
	if len(b) < 7 {
		return Frame{}, io.ErrUnexpectedEOF
	}
	if b[0] != 0x0b || b[1] != 0x77 {
		return Frame{}, ErrFrame
	}
	switch id := b[5] >> 3; {
	case id <= 10:
		return parseAC3(b, id)
	case id <= 16:
		return parseEAC3(b, id)
	}
	return Frame{}, ErrFrame
}

func parseAC3(b []byte, id uint8) (Frame, error) {
	rate, size := int(b[4]>>6), int(b[4]&63)
	if rate == 3 || size/2 >= len(bitRates) {
		return Frame{}, ErrFrame
	}
	f := Frame{SampleRate: rates[rate], BitRate: bitRates[size/2] * 1000, Samples: 6 * SamplesPerBlock, Mode: b[6] >> 5, ID: id}
	// At 44.1 kHz frames take turns in size to keep the rate.
	f.Size = 2 * (f.BitRate * f.Samples / 16 / f.SampleRate)
	if rate == 1 && size&1 != 0 {
		f.Size += 2
	}
	at := 4 // of lfeon in b[6]: mix levels come between, as the mode has channels for them
	if f.Mode&1 != 0 && f.Mode != 1 {
		at -= 2
	}
	if f.Mode&4 != 0 {
		at -= 2
	}
	if f.Mode == 2 {
		at -= 2
	}
	f.LFE = b[6]>>at&1 != 0
	f.Channels = fullBand[f.Mode]
	if f.LFE {
		f.Channels++
	}
	if id > 8 { // half and quarter rates
		f.SampleRate >>= id - 8
		f.BitRate >>= id - 8
	}
	return f, nil
}

func parseEAC3(b []byte, id uint8) (Frame, error) {
	kind := b[2] >> 6
	if kind == 3 {
		return Frame{}, ErrFrame
	}
	f := Frame{
		Enhanced: true, Dependent: kind == 1, Substream: b[2] >> 3 & 7, Size: 2 * (int(b[2]&7)<<8 | int(b[3]) + 1),
		Mode: b[4] >> 1 & 7, LFE: b[4]&1 != 0, ID: id,
	}
	rate, blocks := int(b[4]>>6), int(b[4]>>4&3)
	if rate == 3 {
		if blocks == 3 {
			return Frame{}, ErrFrame
		}
		f.SampleRate, f.Samples = rates[blocks]/2, 6*SamplesPerBlock
	} else {
		f.SampleRate, f.Samples = rates[rate], [4]int{1, 2, 3, 6}[blocks]*SamplesPerBlock
	}
	if f.Size < 7 {
		return Frame{}, ErrFrame
	}
	f.Channels = fullBand[f.Mode]
	if f.LFE {
		f.Channels++
	}
	f.BitRate = f.Size * 8 * f.SampleRate / f.Samples
	return f, nil
}

// Samples returns the samples per channel of the whole syncframes that payload begins with, at
// the rate of the first; 0 if there is none. Of E-AC-3 those of the independent substream 0
// count: the others sound at the same time.
func Samples(payload []byte) (samples, sampleRate int) {
	for {
		f, err := parseFrame(payload)
		if err != nil || f.Size > len(payload) || sampleRate != 0 && f.SampleRate != sampleRate {
			return samples, sampleRate
		}
		if !f.Dependent && f.Substream == 0 {
			samples, sampleRate = samples+f.Samples, f.SampleRate
		}
		payload = payload[f.Size:]
	}
}
