package amf_test

import (
	"fmt"

	"weir/amf"
)

func Example() {
	body, err := amf.Append(nil, "connect", 1, amf.Object{
		{Key: "app", Value: "live"},
		{Key: "tcUrl", Value: "rtmp://example.org/live"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	values, err := amf.DecodeAll(body, amf.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(values[0], values[1])
	if o, ok := amf.Properties(values[2]); ok {
		app, _ := o.GetString("app")
		fmt.Println(app)
	}
	// Output:
	// connect 1
	// live
}

// A data message begins with a name; what follows may be passed on as it is.
func ExampleDecoder_Offset() {
	body, _ := amf.Append(nil, "@setDataFrame", "onMetaData", amf.ECMAArray{{Key: "width", Value: 1920}})
	d := amf.NewDecoder(body, amf.Limits{})
	name, err := d.Next()
	fmt.Println(name, err)
	rest := body[d.Offset():]
	values, err := amf.DecodeAll(rest, amf.Limits{})
	fmt.Println(values[0], err)
	// Output:
	// @setDataFrame <nil>
	// onMetaData <nil>
}

// On hot paths the primitives write without allocating.
func ExampleAppendString() {
	b := amf.AppendString(nil, "_result")
	b = amf.AppendNumber(b, 4)
	b = amf.AppendNull(b)
	b = amf.AppendNumber(b, 1)
	fmt.Printf("%x\n", b)
	// Output: 0200075f726573756c7400401000000000000005003ff0000000000000
}
