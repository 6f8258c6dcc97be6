package fetch

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"

	"weir/format/m3u8"
)

// hlsKey is the key of the newest segments.
type hlsKey struct {
	uri string
	key []byte
}

// keyAt returns the key in force at segment i of the playlist (RFC 8216, 4.3.2.4); nil if there is none.
func (l *hlsList) keyAt(i int) *m3u8.Key {
	for ; i >= 0; i-- {
		if k := l.media.Segments[i].Key; k != nil {
			return k
		}
	}
	return nil
}

// decrypt decrypts a segment, or its initialization.
func (l *hlsList) decrypt(k *m3u8.Key, number uint64, b []byte) ([]byte, error) {
	if k == nil || k.Method != m3u8.MethodAES128 {
		return b, nil
	}
	u, err := resolve(l.base, k.URI)
	if err != nil {
		return nil, err
	}
	if name := u.String(); l.key.uri != name || l.key.key == nil {
		key, _, err := l.s.fetch(u, m3u8.ByteRange{}, aes.BlockSize)
		if err == nil && len(key) != aes.BlockSize {
			err = fmt.Errorf("it has %d bytes, not %d", len(key), aes.BlockSize)
		}
		if err != nil {
			return nil, fmt.Errorf("reading its key: %w", err)
		}
		l.key = hlsKey{name, key}
	}
	iv := k.IV
	if iv == nil {
		iv = binary.BigEndian.AppendUint64(make([]byte, 8, aes.BlockSize), number)
	}
	if len(b) == 0 || len(b)%aes.BlockSize != 0 {
		return nil, errors.New("it is not as long as encrypted data is")
	}
	block, err := aes.NewCipher(l.key.key)
	if err != nil {
		return nil, err
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(b, b)
	if n := int(b[len(b)-1]); n >= 1 && n <= aes.BlockSize {
		return b[:len(b)-n], nil
	}
	return nil, errors.New("it cannot be decrypted: its key is another one")
}
