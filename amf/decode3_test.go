package amf

import (
	"errors"
	"strings"
	"testing"
)

// golden3 are bare AMF3 values.
var golden3 = []struct {
	name string
	hex  string
	want Value
}{
	{"undefined", "00", Undefined{}},
	{"null", "01", nil},
	{"false", "02", false},
	{"true", "03", true},
	{"integer", "0405", 5.0},
	{"integer of two bytes", "048100", 128.0},
	{"integer of four bytes", "0480c08000", 2097152.0},
	{"greatest integer", "04bfffffff", float64(1<<28 - 1)},
	{"least integer", "04c0808000", float64(-1 << 28)},
	{"minus one", "04ffffffff", -1.0},
	{"double", "053ff8000000000000", 1.5},
	{"string", "0607616263", "abc"},
	{"empty string", "0601", ""},
	{"XML document", "07093c612f3e", XML("<a/>")},
	{"XML", "0b093c612f3e", XML("<a/>")},
	{"date", "0801" + "0000000000000000", Date{}},
	{"empty array", "090101", StrictArray{}},
	{"dense array", "0905" + "01" + "03" + "0401", StrictArray{true, 1.0}},
	{"array with keys", "0901" + "0361" + "03" + "01", ECMAArray{{"a", true}}},
	{"array of both", "0905" + "0361" + "03" + "01" + "02" + "01", ECMAArray{{"a", true}, {"0", false}, {"1", nil}}},
	{"object with sealed properties", "0a23" + "01" + "0361" + "0362" + "03" + "02", Object{{"a", true}, {"b", false}}},
	{"dynamic object", "0a0b" + "01" + "0361" + "03" + "01", Object{{"a", true}}},
	{"sealed and dynamic", "0a1b" + "01" + "0361" + "03" + "0362" + "02" + "01", Object{{"a", true}, {"b", false}}},
	{"typed object", "0a13" + "0343" + "0361" + "03", TypedObject{"C", Object{{"a", true}}}},
	{"empty object", "0a03" + "01", Object{}},
	{"byte array", "0c07010203", Bytes{1, 2, 3}},
	{"empty byte array", "0c01", Bytes{}},
	{"vector of int", "0d05" + "00" + "00000001" + "ffffffff", StrictArray{1.0, -1.0}},
	{"vector of uint", "0e05" + "01" + "00000001" + "ffffffff", StrictArray{1.0, 4294967295.0}},
	{"vector of double", "0f03" + "00" + "3ff8000000000000", StrictArray{1.5}},
	{"vector of object", "1005" + "00" + "0343" + "0a0301" + "01", StrictArray{Object{}, nil}},
	{
		"dictionary", "110d" + "00" + "060361" + "03" + "0405" + "02" + "053fe0000000000000" + "01" + "01" + "01" + "00" + "01" + "03" + "01",
		ECMAArray{{"a", true}, {"5", false}, {"0.5", nil}, {"null", nil}, {"undefined", nil}, {"true", nil}},
	},

	{"string reference", "0905" + "01" + "0603" + "61" + "0600", StrictArray{"a", "a"}},
	{"a key is a string to refer to", "0a0b" + "01" + "0361" + "0600" + "01", Object{{"a", "a"}}},
	{"the empty string is not", "0907" + "01" + "0601" + "060361" + "0600", StrictArray{"", "a", "a"}},
	{"object reference", "0905" + "01" + "0a0301" + "0a02", StrictArray{Object{}, Object{}}},
	{"reference to bytes", "0905" + "01" + "0c0361" + "0c02", StrictArray{Bytes("a"), Bytes("a")}},
	{"reference to a date", "0905" + "01" + "0801" + "0000000000000000" + "0802", StrictArray{Date{}, Date{}}},
	{"traits reference", "0905" + "01" + "0a1301" + "0361" + "03" + "0a01" + "02", StrictArray{Object{{"a", true}}, Object{{"a", false}}}},
}

func TestGolden3(t *testing.T) {
	for _, c := range golden3 {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.hex)
			got, n, err := DecodeAMF3(append(b, 0xff), Limits{})
			if err != nil || n != len(b) {
				t.Fatalf("%d bytes of %d, %v", n, len(b), err)
			}
			if !equal(c.want, got) {
				t.Fatalf("%#v, want %#v", got, c.want)
			}
			// The same behind AMF0's marker, and written in its AMF0 form.
			all, err := DecodeAll(append([]byte{markerAMF3}, b...), Limits{})
			if err != nil || diff([]Value{c.want}, all) != "" {
				t.Fatalf("in AMF0: %v, %v", all, err)
			}
			out, err := Append(nil, all...)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := DecodeAll(out, Limits{}); err != nil || diff(all, again) != "" {
				t.Fatalf("written and read again: %v, %v", again, err)
			}
			for i := range b {
				if _, n, err := DecodeAMF3(b[:i], Limits{}); !errors.Is(err, ErrTruncated) || n != 0 {
					t.Errorf("first %d bytes: %d taken, error %v", i, n, err)
				}
			}
		})
	}
}

func TestHostile3(t *testing.T) {
	for _, c := range []struct {
		name, hex string
		want      error
	}{
		{"C-095 U29 cut short", "04ffffff", ErrTruncated},
		{"C-095 traits out of range", "0a05", ErrReference},
		{"C-095 externalizable", "0a07" + "0343" + "00", ErrMarker},
		{"C-095 traits of 2^25 properties", "0afffffffb" + "01", ErrTruncated},
		{"C-095 traits over the limit", "0a" + "84800b" + "01" + strings.Repeat("01", 40000), ErrLimit},
		{"C-096 dense count", "09ffffffff" + "01", ErrTruncated},
		{"C-096 dense count over the limit", "09" + "c101" + "01" + strings.Repeat("01", 5000), ErrLimit},
		{"C-096 vector count", "0fffffffff" + "00" + "3ff8000000000000", ErrTruncated},
		{"marker", "12", ErrMarker},
		{"string out of range", "0600", ErrReference},
		{"object out of range", "0a00", ErrReference},
		{"array in itself", "0903" + "01" + "0900", ErrReference},
		{"object in itself", "0a0b01" + "0361" + "0a00" + "01", ErrReference},
		{"dictionary in its key", "1103" + "00" + "1100" + "01", ErrReference},
		{"dictionary key that is an object", "1103" + "00" + "0a0301" + "01", ErrMarker},
		{"nested arrays", strings.Repeat("090301", 10000), ErrLimit},
		{"nested objects", strings.Repeat("0a0b010361", 10000), ErrLimit},
		{"byte array longer than the input", "0c8101" + "00", ErrTruncated},
		{"byte array over the limit", "0c" + "888003" + strings.Repeat("00", 70000), ErrLimit},
		{"key over the limit", "0901" + "8621" + strings.Repeat("61", 400), ErrLimit},
		{"key over the limit by reference", "0903" + "0361" + "06" + "8501" + strings.Repeat("61", 320) + "02" + "01" + "01", ErrLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := DecodeAMF3(unhex(t, c.hex), Limits{}); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

// TestTablesLastForTheMessage: as in the servers that Flash was made to talk to.
func TestTablesLastForTheMessage(t *testing.T) {
	got, err := DecodeAll(unhex(t, "11"+"060361"+"05"+"11"+"0600"+"11"+"0c0362"+"11"+"0c00"), Limits{})
	if want := []Value{"a", nil, "a", Bytes("b"), Bytes("b")}; err != nil || diff(want, got) != "" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestTablesAreBounded: what does not fit a table is read all the same, but cannot be
// referred to.
func TestTablesAreBounded(t *testing.T) {
	many := strings.Repeat("11"+"0a0301", maxReferences+1)
	d := NewDecoder(unhex(t, many+"11"+"0a"+"8f7e"+"11"+"0a"+"9000"), Limits{})
	for range maxReferences + 2 { // the last of them refers to the last of the table
		if _, err := d.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Next(); !errors.Is(err, ErrReference) {
		t.Errorf("reference after the table's end: error %v", err)
	}
	if len(d.amf3.objects) != maxReferences || len(d.amf3.traits) != maxReferences {
		t.Errorf("tables of %d objects, %d traits", len(d.amf3.objects), len(d.amf3.traits))
	}
}

func TestStringReferencesCount(t *testing.T) {
	text := "11" + "06" + "87ff7f" + strings.Repeat("61", 65535)
	for n, want := range map[int]error{16: nil, 17: ErrLimit} {
		if _, err := DecodeAll(unhex(t, text+strings.Repeat("110600", n)), Limits{}); !errors.Is(err, want) {
			t.Errorf("text repeated %d times: error %v, want %v", n, err, want)
		}
	}
}

// TestBytesAtTheDepthLimit: a byte array holds nothing and takes no depth, as itself or
// by reference.
func TestBytesAtTheDepthLimit(t *testing.T) {
	b := unhex(t, "11"+"0c0361"+strings.Repeat("0a00000001", 32)+"11"+"0c00")
	got, err := DecodeAll(b, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := Append(nil, got...)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := DecodeAll(out, Limits{}); err != nil || diff(got, again) != "" {
		t.Errorf("%v, %v", again, err)
	}
}

func TestFormatNumber(t *testing.T) {
	zero := 0.0
	for want, n := range map[string]float64{
		"0": -zero, "0.1": 0.1, "-3": -3, "4294967296": 1 << 32, "1e+21": 1e21, "1e-07": 1e-7,
		"Infinity": 1 / zero, "-Infinity": -1 / zero, "NaN": zero / zero,
	} {
		if got := formatNumber(n); got != want {
			t.Errorf("%v is %q, want %q", n, got, want)
		}
	}
}
