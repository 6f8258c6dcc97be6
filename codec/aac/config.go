// Package aac reads what a server must know of AAC (ISO/IEC 14496-3:2019): the
// AudioSpecificConfig (1.6.2.1) and the ADTS header (1.A.2.2).
//
// It reads no raw frame: spectral band replication that only the frames tell of (implicit
// signalling) is not found. It reads the error resilient, scalable and other object types
// as far as rate and channels, and writes none of them. LATM is not supported.
package aac

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"weir/codec/bits"
)

// Audio object types (Table 1.17).
const (
	Main = 1
	LC   = 2
	SSR  = 3
	LTP  = 4
	SBR  = 5 // HE-AAC
	LD   = 23
	PS   = 29 // HE-AAC v2
	ELD  = 39
	USAC = 42 // xHE-AAC
)

// rates are the sampling frequencies by index (Table 1.18); index 15 gives it in full.
var rates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// channels by channel configuration (Table 1.19); 0 for those in reserve.
var channels = [16]int{0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8, 0}

// Signalling is how a record says whether there is spectral band replication (1.6.5.2).
type Signalling uint8

// The ways of signalling.
const (
	// Implicit: the record does not say.
	Implicit Signalling = iota
	// Hierarchical: the object type is SBR or PS, and that of the core follows.
	Hierarchical
	// Compatible: it is said or denied at the end, where older decoders do not look.
	Compatible
	// CompatiblePS: as Compatible, with parametric stereo said or denied as well.
	CompatiblePS
)

// Config is an AudioSpecificConfig.
type Config struct {
	// ObjectType is that of the core coder, never SBR or PS.
	ObjectType uint8
	// SampleRate is that of the core coder in Hz; it is what frames are counted by.
	SampleRate int
	// ChannelConfig is 0 if Program tells the channels, or nothing does.
	ChannelConfig uint8
	// FrameLength is the samples of a frame at SampleRate: 1024 or 960, for the low delay
	// types 512 or 480, and 0 if unknown, as of USAC.
	FrameLength int
	// SBR and PS are true if spectral band replication and parametric stereo are signalled.
	SBR, PS    bool
	Signalling Signalling
	// ExtensionRate is the rate in Hz after spectral band replication, 0 if there is none.
	ExtensionRate int
	// Program describes the channels if ChannelConfig is 0; nil if there is none.
	Program *Program
}

// Errors of configuration records.
var (
	// ErrRate is returned for a sampling frequency of 0 or in reserve.
	ErrRate = errors.New("sampling frequency out of range")
	// ErrObjectType is returned for object type 0 and, by writers, for those they do not write.
	ErrObjectType = errors.New("object type not supported")
)

// ParseConfig parses an AudioSpecificConfig. Bytes after it are not looked at. It fails
// with io.ErrUnexpectedEOF, ErrRate or ErrObjectType.
func ParseConfig(b []byte) (Config, error) {
	c, err := parseConfig(b)
	if err != nil {
		return Config{}, fmt.Errorf("aac: reading the configuration: %w", err)
	}
	return c, nil
}

func parseConfig(b []byte) (Config, error) {
	var c Config
	r := bits.NewReader(b)
	c.ObjectType = readObjectType(&r)
	rate, err := readRate(&r)
	if err != nil {
		return c, err
	}
	c.SampleRate, c.ChannelConfig = rate, uint8(r.U(4))
	if c.ObjectType == SBR || c.ObjectType == PS {
		c.Signalling, c.SBR, c.PS = Hierarchical, true, c.ObjectType == PS
		if c.ExtensionRate, err = readRate(&r); err != nil {
			return c, err
		}
		if c.ObjectType = readObjectType(&r); c.ObjectType == 22 {
			r.Skip(4) // extensionChannelConfiguration
		}
	}
	switch c.ObjectType {
	case 0, SBR, PS:
		if err := r.Err(); err != nil {
			return c, err
		}
		return c, ErrObjectType
	case Main, LC, SSR, LTP, 6, 7, 17, 19, 20, 21, 22, LD:
		c.readGeneral(&r)
	case ELD:
		c.readELD(&r)
	}
	if err := r.Err(); err != nil {
		return c, err
	}
	if c.Signalling == Implicit && c.ObjectType <= LTP {
		c.readCompatible(r)
	}
	return c, nil
}

func readObjectType(r *bits.Reader) uint8 {
	if t := r.U(5); t != 31 {
		return uint8(t)
	}
	return uint8(32 + r.U(6))
}

func readRate(r *bits.Reader) (int, error) {
	rate := 0
	if i := int(r.U(4)); i == 15 {
		rate = int(r.U(24))
	} else if i < len(rates) {
		rate = rates[i]
	}
	if err := r.Err(); err != nil {
		return 0, err
	}
	if rate == 0 {
		return 0, ErrRate
	}
	return rate, nil
}

// readGeneral reads GASpecificConfig (4.4.1).
func (c *Config) readGeneral(r *bits.Reader) {
	long, short := 1024, 960
	if c.ObjectType == LD {
		long, short = 512, 480
	}
	if c.FrameLength = long; r.Flag() {
		c.FrameLength = short
	}
	if r.Flag() { // dependsOnCoreCoder
		r.Skip(14)
	}
	extended := r.Flag()
	if c.ChannelConfig == 0 {
		c.Program = readProgram(r)
	}
	if c.ObjectType == 6 || c.ObjectType == 20 {
		r.Skip(3) // layerNr
	}
	if extended {
		switch c.ObjectType {
		case 22:
			r.Skip(16)
		case 17, 19, 20, LD:
			r.Skip(3)
		}
		r.Skip(1) // extensionFlag3
	}
}

// readELD reads the beginning of ELDSpecificConfig (4.6.20.3).
func (c *Config) readELD(r *bits.Reader) {
	if c.FrameLength = 512; r.Flag() {
		c.FrameLength = 480
	}
	r.Skip(3)
	if r.Flag() { // ldSbrPresentFlag
		c.SBR, c.ExtensionRate = true, c.SampleRate
		if r.Flag() {
			c.ExtensionRate *= 2
		}
	}
}

// The marks of an extension at the end.
const (
	syncSBR = 0x2b7
	syncPS  = 0x548
)

// readCompatible reads what may be said of extensions at the end. r is a copy: what is not
// whole there was not said.
func (c *Config) readCompatible(r bits.Reader) {
	if r.U(11) != syncSBR || readObjectType(&r) != SBR {
		return
	}
	sbr, rate := r.Flag(), 0
	if sbr {
		var err error
		if rate, err = readRate(&r); err != nil {
			return
		}
	}
	if r.Err() != nil {
		return
	}
	c.Signalling, c.SBR, c.ExtensionRate = Compatible, sbr, rate
	if sbr && r.U(11) == syncPS {
		if ps := r.Flag(); r.Err() == nil {
			c.Signalling, c.PS = CompatiblePS, ps
		}
	}
}

// AppendBinary appends the configuration in the form that ParseConfig reads. It fails with
// ErrObjectType for types other than Main, LC, SSR and LTP, and if a field does not fit.
func (c *Config) AppendBinary(b []byte) ([]byte, error) {
	switch {
	case c.ObjectType < Main || c.ObjectType > LTP:
		return b, fmt.Errorf("aac: writing the configuration: %w", ErrObjectType)
	case c.SampleRate <= 0 || c.SampleRate >= 1<<24 || c.SBR && (c.ExtensionRate <= 0 || c.ExtensionRate >= 1<<24):
		return b, fmt.Errorf("aac: writing the configuration: %w", ErrRate)
	case c.FrameLength != 1024 && c.FrameLength != 960, c.ChannelConfig > 15, (c.ChannelConfig == 0) != (c.Program != nil),
		c.Program != nil && len(c.Program.Comment) > 255, c.SBR != (c.ExtensionRate > 0), c.PS && !c.SBR,
		c.Signalling == Implicit && c.SBR, c.Signalling == Hierarchical && !c.SBR, c.Signalling == Compatible && c.PS,
		c.Signalling == CompatiblePS && !c.SBR, c.Signalling > CompatiblePS:
		return b, errors.New("aac: writing the configuration: fields out of range or at odds")
	}
	w := bits.NewWriter(b)
	switch {
	case c.Signalling == Hierarchical && c.PS:
		w.U(5, PS)
	case c.Signalling == Hierarchical:
		w.U(5, SBR)
	default:
		w.U(5, uint64(c.ObjectType))
	}
	writeRate(&w, c.SampleRate)
	w.U(4, uint64(c.ChannelConfig))
	if c.Signalling == Hierarchical {
		writeRate(&w, c.ExtensionRate)
		w.U(5, uint64(c.ObjectType))
	}
	w.Flag(c.FrameLength == 960)
	w.U(2, 0)
	if c.Program != nil {
		c.Program.write(&w)
	}
	if c.Signalling >= Compatible {
		w.U(11, syncSBR)
		w.U(5, SBR)
		if w.Flag(c.SBR); c.SBR {
			writeRate(&w, c.ExtensionRate)
		}
		if c.Signalling == CompatiblePS {
			w.U(11, syncPS)
			w.Flag(c.PS)
		}
	}
	return w.Bytes(), nil
}

func writeRate(w *bits.Writer, rate int) {
	if i := slices.Index(rates[:], rate); i >= 0 {
		w.U(4, uint64(i))
		return
	}
	w.U(4, 15)
	w.U(24, uint64(rate))
}

// OutputRate returns the rate in Hz of what a decoder gives, spectral band replication included.
func (c *Config) OutputRate() int {
	if c.SBR {
		return c.ExtensionRate
	}
	return c.SampleRate
}

// Channels returns the number of channels that a decoder gives; 0 if unknown.
func (c *Config) Channels() int {
	switch {
	case c.Program != nil:
		return c.Program.Channels
	case c.PS:
		return 2
	}
	return channels[c.ChannelConfig&15]
}

// Profile returns the name that people know the coding by: "LC", "HE-AAC", "HE-AACv2" and so on;
// for others, the number of the object type.
func (c *Config) Profile() string {
	switch {
	case c.ObjectType == ELD:
		return "ELD"
	case c.PS:
		return "HE-AACv2"
	case c.SBR:
		return "HE-AAC"
	}
	switch c.ObjectType {
	case Main:
		return "Main"
	case LC:
		return "LC"
	case SSR:
		return "SSR"
	case LTP:
		return "LTP"
	case LD:
		return "LD"
	case USAC:
		return "xHE-AAC"
	}
	return strconv.Itoa(int(c.ObjectType))
}
