package hops

import "strings"

// Reason is the name of the property of RTMP's status with the reason of a refusal, where its code does not tell it.
const Reason = "weir.reason"

// viaPrefix is what the pseudonym of a server begins with in HTTP's field Via, before its entry.
const viaPrefix = "weir-"

// Via makes a value of HTTP's field of that name (RFC 9110, 7.6.3) of a list, for servers that fetch streams by HTTP.
func Via(list []string) string {
	var b strings.Builder
	for i, entry := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("1.1 " + viaPrefix + entry)
	}
	return b.String()
}

// ParseVia reads the values of HTTP's field Via, and returns the entries of servers of our kind among those that a request
// came through. Of a list that is too long it keeps as much as shows that.
func ParseVia(values []string) []string {
	var list []string
	for _, v := range values {
		for hop := range strings.SplitSeq(v, ",") {
			f := strings.Fields(hop)
			if len(f) < 2 || len(list) > Max {
				continue
			}
			if entry, ok := strings.CutPrefix(f[1], viaPrefix); ok && entry != "" {
				list = append(list, strings.Clone(entry[:min(len(entry), maxEntry)]))
			}
		}
	}
	return list
}
