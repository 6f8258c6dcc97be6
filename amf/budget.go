package amf

import "fmt"

// budget counts what one message has used of its limits.
type budget struct {
	lim      Limits
	depth    int
	values   int
	repeated int // bytes of strings that references may still repeat
}

// repeatedStrings is how many of the longest strings references may repeat in all. A
// reference takes two bytes and may name 64 KiB: what a small message stands for must
// stay small too, for a caller that writes it out again.
const repeatedStrings = 16

func newBudget(l Limits) budget {
	return budget{lim: l, repeated: repeatedStrings * l.StringBytes}
}

// count takes n values.
func (b *budget) count(n int) error {
	if n > b.lim.Values-b.values {
		return fmt.Errorf("%w: more than %d values", ErrLimit, b.lim.Values)
	}
	b.values += n
	return nil
}

// enter goes into a value that holds others; leave comes out of it.
func (b *budget) enter() error {
	if b.depth >= b.lim.Depth {
		return fmt.Errorf("%w: nested deeper than %d", ErrLimit, b.lim.Depth)
	}
	b.depth++
	return nil
}

func (b *budget) leave() { b.depth-- }

// repeat takes n bytes of text that a reference names.
func (b *budget) repeat(n int) error {
	if n > b.repeated {
		return fmt.Errorf("%w: references repeat more than %d bytes", ErrLimit, repeatedStrings*b.lim.StringBytes)
	}
	b.repeated -= n
	return nil
}

// again returns value n of a reference table. One that is not complete would contain
// itself. All that it is made of counts again, so that references cannot multiply it.
func (b *budget) again(table []Value, n int) (Value, error) {
	if n >= len(table) || table[n] == nil {
		return nil, fmt.Errorf("%w %d", ErrReference, n)
	}
	v := table[n]
	size := measure(v)
	if size.depth > b.lim.Depth-b.depth {
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrLimit, b.lim.Depth)
	}
	if err := b.count(size.values - 1); err != nil { // the reference itself has been counted
		return nil, err
	}
	if err := b.repeat(size.text); err != nil {
		return nil, err
	}
	return v, nil
}

// size says what a value is made of: how many values, how deep, how many bytes of text
// besides keys (those are bounded by the number of values).
type size struct{ values, depth, text int }

// measure returns the size of a value that was read: finite, since none contains
// itself, and within the limits, since each part was counted.
func measure(v Value) size {
	s := size{values: 1}
	add := func(v Value) {
		e := measure(v)
		s.values += e.values
		s.depth = max(s.depth, e.depth+1)
		s.text += e.text
	}
	switch v := v.(type) {
	case string:
		s.text = len(v)
	case XML:
		s.text = len(v)
	case Bytes:
		s.text = len(v)
	case StrictArray:
		s.depth = 1
		for _, e := range v {
			add(e)
		}
	default:
		ps, ok := Properties(v)
		if ok {
			s.depth = 1
		}
		for i := range ps {
			add(ps[i].Value)
		}
	}
	return s
}
