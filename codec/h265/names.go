package h265

import (
	"fmt"
	"strconv"
)

// ProfileName returns the name that people know a profile by, such as "Main 10"; for an
// unknown profile, its number. constraints are the 48 flags of the record.
func ProfileName(profile uint8, constraints uint64) string {
	switch profile {
	case 1:
		return "Main"
	case 2:
		return "Main 10"
	case 3:
		return "Main Still Picture"
	case 4:
		return rangeExtensions(constraints)
	case 5:
		return "High Throughput"
	case 6:
		return "Multiview Main"
	case 7:
		return "Scalable Main"
	case 8:
		return "3D Main"
	case 9:
		return "Screen-Extended"
	case 10:
		return "Scalable Range Extensions"
	case 11:
		return "High Throughput Screen-Extended"
	}
	return strconv.Itoa(int(profile))
}

// rangeExtensions names the profile of the format range extensions that the constraint
// flags tell (Table A.2).
func rangeExtensions(constraints uint64) string {
	set := func(i int) bool { return constraints>>(47-i)&1 != 0 }
	const max12, max10, max8, max422, max420, mono, intra, onePicture = 4, 5, 6, 7, 8, 9, 10, 11
	if constraints>>(47-onePicture)&0xff == 0 {
		return "Range Extensions" // a writer that leaves the flags out
	}
	name := "Main 4:4:4"
	switch {
	case set(mono):
		name = "Monochrome"
	case set(max420):
		name = "Main"
	case set(max422):
		name = "Main 4:2:2"
	}
	switch {
	case set(max8):
	case set(max10):
		name += " 10"
	case set(max12):
		name += " 12"
	default:
		name += " 16"
	}
	switch {
	case set(onePicture):
		name += " Still Picture"
	case set(intra):
		name += " Intra"
	}
	return name
}

// LevelName returns a level as people write it, such as "3.1" for 93 (A.4.1).
func LevelName(level uint8) string { return fmt.Sprintf("%d.%d", level/30, level%30/3) }
