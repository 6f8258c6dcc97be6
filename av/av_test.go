package av

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTicksRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hz := rapid.SampledFrom([]int64{1000, 8000, 44100, 48000, 90000, 1_000_000}).Draw(t, "hz")
		ticks := rapid.Int64Range(-400*24*3600*hz, 400*24*3600*hz).Draw(t, "ticks")
		if got := Ticks(Duration(ticks, hz), hz); got != ticks {
			t.Fatalf("Ticks(Duration(%d, %d)) = %d", ticks, hz, got)
		}
	})
}

func TestTicksDoesNotOverflow(t *testing.T) {
	d := 30 * 24 * time.Hour
	if got, want := Ticks(d, 90000), int64(30*24*3600)*90000; got != want {
		t.Fatalf("30 days at 90 kHz = %d, want %d", got, want)
	}
}

func TestMillisecondsWrap(t *testing.T) {
	d := time.Duration(math.MaxUint32)*time.Millisecond + 17*time.Millisecond
	if got := Milliseconds(d); got != 16 {
		t.Fatalf("Milliseconds(2^32+16 ms) = %d, want 16", got)
	}
	if got := Milliseconds(-time.Millisecond); got != math.MaxUint32 {
		t.Fatalf("Milliseconds(-1 ms) = %d", got)
	}
}

func TestCodecString(t *testing.T) {
	for c, want := range map[Codec]string{H264: "H.264", 0: "unknown", 0x00414243: `"\x00ABC"`} {
		if got := c.String(); got != want {
			t.Errorf("Codec(%#x) = %s, want %s", uint32(c), got, want)
		}
	}
	if H265.FourCC() != "hvc1" {
		t.Error(H265.FourCC())
	}
}

func TestUnwrapper(t *testing.T) {
	const ms = time.Millisecond
	var u Unwrapper
	for _, c := range []struct {
		timestamp uint32
		want      time.Duration
	}{
		{40, 40 * ms},
		{0, 0},
		{math.MaxUint32, -ms},
		{1 << 30, 1 << 30 * ms},
		{1<<31 - 1, (1<<31 - 1) * ms},
		{3 << 30, 3 << 30 * ms},
		{math.MaxUint32, math.MaxUint32 * ms},
		{16, (1<<32 + 16) * ms},
		{math.MaxUint32, math.MaxUint32 * ms},
	} {
		if got := u.Unwrap(c.timestamp); got != c.want {
			t.Errorf("%d is %v, want %v", c.timestamp, got, c.want)
		}
	}
}
