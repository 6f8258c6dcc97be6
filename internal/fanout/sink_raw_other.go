//go:build !unix

package fanout

import "errors"

const haveRawSend = false

func rawSend(int, []byte) (int, error) { return 0, errors.ErrUnsupported }
