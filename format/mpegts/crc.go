package mpegts

// crcTable is that of the CRC of sections (H.222.0, Annex A), which is not reflected and
// so is not in hash/crc32.
var crcTable = func() (t [256]uint32) {
	const polynomial = 0x04c11db7
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			if c&(1<<31) != 0 {
				c = c<<1 ^ polynomial
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()

// crc returns the CRC of b; 0 if b is a section that ends with its right CRC.
func crc(b []byte) uint32 {
	c := ^uint32(0)
	for _, x := range b {
		c = c<<8 ^ crcTable[byte(c>>24)^x]
	}
	return c
}
