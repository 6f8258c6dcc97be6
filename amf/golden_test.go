package amf

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
)

// golden are message bodies and the values in them: the bytes are read as the values,
// and the values written as the bytes.
var golden = []struct {
	name   string
	hex    string
	values []Value
}{
	// What a server sends.
	{
		"_result createStream", "0200075f726573756c7400400000000000000005003ff0000000000000",
		[]Value{"_result", 2.0, nil, 1.0},
	},
	{
		"_result releaseStream", "0200075f726573756c740040080000000000000506",
		[]Value{"_result", 3.0, nil, Undefined{}},
	},
	{
		"onStatus", "0200086f6e537461747573000000000000000000050300056c6576656c0200067374617475730004636f64650200174e657453747265616d2e5075626c6973682e5374617274000b6465736372697074696f6e0200026f6b000009",
		[]Value{"onStatus", 0.0, nil, Object{{"level", "status"}, {"code", "NetStream.Publish.Start"}, {"description", "ok"}}},
	},
	{
		"sample access", "0200117c52746d7053616d706c6541636365737301010101",
		[]Value{"|RtmpSampleAccess", true, true},
	},

	// What clients send.
	{
		"connect", "020007636f6e6e656374003ff00000000000000300036170700200046c6976650005746355726c02000d72746d703a2f2f682f6c697665000009",
		[]Value{"connect", 1.0, Object{{"app", "live"}, {"tcUrl", "rtmp://h/live"}}},
	},
	{
		"createStream", "02000c63726561746553747265616d00400000000000000005",
		[]Value{"createStream", 2.0, nil},
	},
	{
		"publish", "0200077075626c6973680040080000000000000502000363616d0200046c697665",
		[]Value{"publish", 3.0, nil, "cam", "live"},
	},
	{
		"play", "020004706c61790040080000000000000502000363616d",
		[]Value{"play", 3.0, nil, "cam"},
	},
	{
		"FCUnpublish", "02000b4643556e7075626c6973680040140000000000000502000363616d",
		[]Value{"FCUnpublish", 5.0, nil, "cam"},
	},
	{
		"deleteStream", "02000c64656c65746553747265616d00401800000000000005003ff0000000000000",
		[]Value{"deleteStream", 6.0, nil, 1.0},
	},
	{
		"@setDataFrame", "02000d40736574446174614672616d6502000a6f6e4d657461446174610800000002000577696474680040300000000000000006686569676874004030000000000000000009",
		[]Value{"@setDataFrame", "onMetaData", ECMAArray{{"width", 16.0}, {"height", 16.0}}},
	},

	// Each type.
	{"nothing", "", nil},
	{
		"numbers", "00" + "0000000000000000" + "00" + "bff8000000000000" + "00" + "7ff0000000000000" + "00" + "fff0000000000000",
		[]Value{0.0, -1.5, math.Inf(1), math.Inf(-1)},
	},
	{"C-097 NaN", "007ff8000000000001", []Value{math.Float64frombits(0x7ff8000000000001)}},
	{"booleans", "01000101", []Value{false, true}},
	{"empty string", "020000", []Value{""}},
	{"C-098 name that is not UTF-8", "020004ff0a1b80", []Value{"\xff\n\x1b\x80"}},
	{"C-099 only a name", "02000161", []Value{"a"}},
	{"empty object", "03000009", []Value{Object{}}},
	{"empty key", "030000" + "05" + "0001" + "61" + "05" + "000009", []Value{Object{{"", nil}, {"a", nil}}}},
	{"C-101 duplicate keys", "03" + "000161" + "0101" + "000161" + "0100" + "000009", []Value{Object{{"a", true}, {"a", false}}}},
	{
		"C-100 connect with an ECMA array", "020007636f6e6e656374" + "003ff0000000000000" + "0800000001" + "0005746375726c" + "020003" + "276127" + "000009",
		[]Value{"connect", 1.0, ECMAArray{{"tcurl", "'a'"}}},
	},
	{"strict array", "0a00000003" + "05" + "06" + "0a00000000", []Value{StrictArray{nil, Undefined{}, StrictArray{}}}},
	{"C-093 date", "0b" + "42776bb3e7000000" + "ffc4", []Value{Date{1609459200000, -60}}},
	{"C-093 XML", "0f00000004" + "3c612f3e", []Value{XML("<a/>")}},
	{"C-093 typed object", "10" + "000143" + "000161" + "05" + "000009", []Value{TypedObject{"C", Object{{"a", nil}}}}},
	{"unsupported", "0d", []Value{Unsupported{}}},
	{"byte array", "110c" + "07" + "010203", []Value{Bytes{1, 2, 3}}},
	{"long string", "0c00010000" + strings.Repeat("61", 65536), []Value{strings.Repeat("a", 65536)}},
	{"longest short string", "02ffff" + strings.Repeat("61", 65535), []Value{strings.Repeat("a", 65535)}},
	{
		"C-277 second audio track", "02000f6164646974696f6e616c4d65646961" + "03" + "000474797065" + "0200056175646964" + "00046461" + "7461" + "110c" + "a001" + strings.Repeat("af", 2048) + "000009",
		[]Value{"additionalMedia", Object{{"type", "audid"}, {"data", Bytes(bytes.Repeat([]byte{0xaf}, 2048))}}},
	},
}

func TestGolden(t *testing.T) {
	for _, c := range golden {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.hex)
			in := bytes.Clone(b)
			got, err := DecodeAll(b, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if d := diff(c.values, got); d != "" {
				t.Fatalf("read:\n%s", d)
			}
			if !bytes.Equal(in, b) {
				t.Fatal("reading changed the input")
			}
			out, err := Append([]byte("before"), c.values...)
			if err != nil {
				t.Fatal(err)
			}
			out, ok := bytes.CutPrefix(out, []byte("before"))
			if !ok {
				t.Fatal("what was in dst is lost")
			}
			if !bytes.Equal(out, b) {
				t.Fatalf("written\n%s, want\n%s", hex.EncodeToString(out), c.hex)
			}
		})
	}
}

// TestPrefixes cuts each body everywhere: the values before the cut come out, and either
// there is an error or the cut value is an object, which may lack its end.
func TestPrefixes(t *testing.T) {
	for _, c := range golden {
		b := unhex(t, c.hex)
		step := 1 + len(b)/500
		for n := 0; n < len(b); n += step {
			got, err := DecodeAll(b[:n], Limits{})
			if err != nil && !errors.Is(err, ErrTruncated) {
				t.Fatalf("%s: first %d bytes: %v", c.name, n, err)
			}
			if len(got) > len(c.values) {
				t.Fatalf("%s: first %d bytes: %d values", c.name, n, len(got))
			}
			for i, v := range got {
				if equal(c.values[i], v) {
					continue
				}
				if _, ok := Properties(v); !ok || i < len(got)-1 || err != nil {
					t.Fatalf("%s: first %d bytes: value %d is %v", c.name, n, i, v)
				}
			}
		}
	}
}

// TestStringsAreCopies: a caller may use the buffer again.
func TestStringsAreCopies(t *testing.T) {
	for _, c := range golden {
		b := unhex(t, c.hex)
		got, err := DecodeAll(b, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] = 0xee
		}
		if d := diff(c.values, got); d != "" {
			t.Errorf("%s changed with the buffer:\n%s", c.name, d)
		}
	}
}
