package h265

import "weir/codec/nal"

// maxUnits is how many NAL units of an access unit are looked at for its first slice.
const maxUnits = 128

// IsKey reports whether a decoder can start at an access unit, by the NAL unit that holds
// its first slice: it can at an intra random access point, be it IDR, BLA or CRA. known is
// false if there is no slice, or if a recovery point precedes another slice: a decoder that
// starts there shows an unspoilt picture only some time later, so whether it may is for others
// to decide.
//
// payload holds units behind lengths, or behind start codes if lengthSize is 0 or it
// does not split along its lengths (see nal.IsAnnexB). IsKey does not allocate.
func IsKey(payload []byte, lengthSize int) (key, known bool) {
	first, recovery := scan(payload, lengthSize)
	switch {
	case IsIRAP(first):
		return true, true
	case first < 0 || recovery:
		return false, false
	}
	return false, true
}

// HasRecoveryPoint reports whether an access unit begins with a recovery point message
// (D.2.8), as encoders with gradual refresh write. Arguments are those of IsKey.
func HasRecoveryPoint(payload []byte, lengthSize int) bool {
	_, recovery := scan(payload, lengthSize)
	return recovery
}

// scan returns the type of the first slice, -1 if there is none, and whether a recovery
// point precedes it.
func scan(payload []byte, lengthSize int) (first int, recovery bool) {
	n := 0
	first = -1
	look := func(unit []byte) bool {
		switch t := Type(unit); {
		case t >= 0 && t < 32: // all slices
			first = t
			return false
		case t == TypeSEI:
			recovery = recovery || isRecoveryPoint(unit)
		}
		n++
		return n < maxUnits
	}
	if nal.IsAnnexB(payload, lengthSize) {
		nal.AnnexB(payload)(look)
		return first, recovery
	}
	nal.Units(payload, lengthSize)(look)
	return first, recovery
}

// isRecoveryPoint reports whether a SEI unit holds a recovery point message.
func isRecoveryPoint(unit []byte) bool {
	const recoveryPoint = 6
	return nal.HasSEI(unit, 2, recoveryPoint)
}
