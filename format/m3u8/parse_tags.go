package m3u8

import "strings"

func parseVersion(s string) (int, error) {
	n, err := parseInteger(s)
	if err == nil && (n == 0 || n > 99) {
		err = syntax("version out of range")
	}
	return int(min(n, 99)), err
}

func parseStart(s string) (*Start, error) {
	a := parseAttributes(s)
	a.require("TIME-OFFSET")
	return &Start{a.seconds("TIME-OFFSET"), a.yes("PRECISE")}, a.err
}

func parseSkip(s string) (*Skip, error) {
	a := parseAttributes(s)
	a.require("SKIPPED-SEGMENTS")
	skip := &Skip{Segments: a.count("SKIPPED-SEGMENTS")}
	if ids := a.quoted("RECENTLY-REMOVED-DATERANGES"); ids != "" {
		skip.RemovedDateRanges = strings.Split(ids, "\t")
	}
	return skip, a.err
}

func parsePart(s string) (Part, error) {
	a := parseAttributes(s)
	a.require("DURATION", "URI")
	p := Part{a.seconds("DURATION"), a.quoted("URI"), a.quotedRange("BYTERANGE"), a.yes("INDEPENDENT"), a.yes("GAP")}
	if p.Duration < 0 || p.URI == "" {
		a.fail(syntax("negative duration or empty URI"))
	}
	return p, a.err
}

func parseDateRange(s string) (DateRange, error) {
	a := parseAttributes(s)
	a.require("ID", "START-DATE")
	d := DateRange{
		ID: a.quoted("ID"), Class: a.quoted("CLASS"),
		StartDate: a.date("START-DATE"), EndDate: a.date("END-DATE"),
		Duration: a.secondsPointer("DURATION"), PlannedDuration: a.secondsPointer("PLANNED-DURATION"),
		EndOnNext: a.yes("END-ON-NEXT"),
		SCTE35Cmd: a.hexadecimal("SCTE35-CMD"), SCTE35Out: a.hexadecimal("SCTE35-OUT"), SCTE35In: a.hexadecimal("SCTE35-IN"),
	}
	if a.err == nil && (d.ID == "" || d.StartDate.IsZero()) {
		a.fail(syntax("empty ID or START-DATE"))
	}
	for _, e := range a.list {
		if strings.HasPrefix(e.Name, "X-") {
			d.Extra = append(d.Extra, e)
		}
	}
	return d, a.err
}
