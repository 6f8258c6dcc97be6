package config

import (
	"net/netip"
	"strings"
)

// CIDR is a range of addresses, written 10.0.0.0/8, 2001:db8::/32 or as one address.
type CIDR netip.Prefix

// ParseCIDR reads s as UnmarshalText does.
func ParseCIDR(s string) (CIDR, error) {
	var c CIDR
	err := c.UnmarshalText([]byte(s))
	return c, err
}

// String returns the range with its length: 192.0.2.1/32.
func (c CIDR) String() string { return netip.Prefix(c).String() }

// MarshalText implements encoding.TextMarshaler.
func (c CIDR) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A range whose address has bits
// beyond its length (10.0.0.1/8) is refused: it is usually meant to be something else.
func (c *CIDR) UnmarshalText(text []byte) error {
	s := string(text)
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return errType
		}
		a = a.Unmap()
		*c = CIDR(netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return errType
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if m := p.Masked(); m != p {
		return &valueError{why: "for this range write " + m.String(), quotes: true}
	}
	*c = CIDR(p)
	return nil
}

// Describe implements Described.
func (c *CIDR) Describe() Description {
	return Description{
		Name:    "address range",
		Allowed: "an address or a range such as 10.0.0.0/8 or 2001:db8::/32",
		Pattern: `^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$`,
	}
}

// Contains reports whether a is in the range. An IPv4 address mapped into IPv6 is
// taken as IPv4, a zone is ignored.
func (c CIDR) Contains(a netip.Addr) bool {
	return netip.Prefix(c).Contains(a.Unmap().WithZone(""))
}

// CIDRs is a list of ranges.
type CIDRs []CIDR

// Contains reports whether any of the ranges contains a.
func (l CIDRs) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, c := range l {
		if netip.Prefix(c).Contains(a) {
			return true
		}
	}
	return false
}
